// SPDX-License-Identifier: Apache-2.0

// Asks a Jaeger API as Jaeger's own client code does and decodes every answer strictly with Jaeger's own types: v1 JSON,
// v3 over HTTP, v3 over gRPC. Prints what it understood as JSON, in an order of its own, so that two servers can be
// compared. It is built inside a copy of Jaeger's module, whose types are internal.
//
// Arguments: base URL, address of gRPC, service, operation, trace id, start and end in Unix microseconds.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sort"
	"strconv"
	"time"

	"github.com/gogo/protobuf/jsonpb"
	"github.com/gogo/protobuf/proto"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	_ "github.com/jaegertracing/jaeger/internal/gogocodec"
	"github.com/jaegertracing/jaeger/internal/jptrace"
	"github.com/jaegertracing/jaeger/internal/proto/api_v3"
	"github.com/jaegertracing/jaeger/internal/uimodel"
)

// As cmd/query/app answers, whose type is not exported.
type envelope struct {
	Data   json.RawMessage `json:"data"`
	Total  int             `json:"total"`
	Limit  int             `json:"limit"`
	Offset int             `json:"offset"`
	Errors []struct {
		Code    int             `json:"code,omitempty"`
		Msg     string          `json:"msg"`
		TraceID uimodel.TraceID `json:"traceID,omitempty"`
	} `json:"errors"`
}

func check(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func get(address string) (int, []byte) {
	answer, err := http.Get(address)
	check(address, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	check(address, err)
	return answer.StatusCode, body
}

func strict(what string, body []byte, into any) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	check(fmt.Sprintf("%s: %.300s", what, body), decoder.Decode(into))
}

func v1(address string, into any) envelope {
	status, body := get(address)
	var outer envelope
	strict(address, body, &outer)
	if status != http.StatusOK || len(outer.Errors) > 0 {
		check(address, fmt.Errorf("%d %.300s", status, body))
	}
	strict(address, outer.Data, into)
	return outer
}

func v3(address string, into proto.Message) {
	status, body := get(address)
	if status != http.StatusOK {
		check(address, fmt.Errorf("%d %.300s", status, body))
	}
	check(fmt.Sprintf("%s: %.300s", address, body), jsonpb.Unmarshal(bytes.NewReader(body), into))
}

// Spans as lines: everything that is told of each.
func uiSpans(traces []uimodel.Trace) []string {
	var lines []string
	for _, trace := range traces {
		for _, span := range trace.Spans {
			process, known := trace.Processes[span.ProcessID]
			if !known {
				check("process", fmt.Errorf("%s is not there", span.ProcessID))
			}
			var logs []string
			for _, log := range span.Logs {
				logs = append(logs, fmt.Sprint(log.Timestamp, pairs(log.Fields)))
			}
			lines = append(lines, fmt.Sprint(trace.TraceID, " ", span.SpanID, " ", span.OperationName, " ", span.References, " ", span.StartTime,
				" ", span.Duration, " ", pairs(span.Tags), " ", logs, " ", process.ServiceName, " ", pairs(process.Tags)))
		}
	}
	sort.Strings(lines)
	return lines
}

func pairs(tags []uimodel.KeyValue) []string {
	var out []string
	for _, tag := range tags {
		fits := map[uimodel.ValueType]bool{}
		switch tag.Value.(type) {
		case string:
			fits[uimodel.StringType], fits[uimodel.BinaryType], fits[uimodel.Int64Type] = true, true, true
		case bool:
			fits[uimodel.BoolType] = true
		case float64:
			fits[uimodel.Int64Type], fits[uimodel.Float64Type] = true, true
		}
		if !fits[tag.Type] {
			check("tag "+tag.Key, fmt.Errorf("%v is no %s", tag.Value, tag.Type))
		}
		out = append(out, fmt.Sprintf("%s:%s=%v", tag.Key, tag.Type, tag.Value))
	}
	sort.Strings(out)
	return out
}

func otlpSpans(all ...ptrace.Traces) []string {
	lines := []string{}
	for _, traces := range all {
		for _, resource := range traces.ResourceSpans().All() {
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					var rest []string
					for _, event := range span.Events().All() {
						rest = append(rest, fmt.Sprint("event ", event.Name(), event.Timestamp(), flat(event.Attributes())))
					}
					for _, link := range span.Links().All() {
						rest = append(rest, fmt.Sprint("link ", link.TraceID(), link.SpanID()))
					}
					lines = append(lines, fmt.Sprint(span.TraceID(), " ", span.SpanID(), " ", span.ParentSpanID(), " ", span.Name(), " ", span.Kind(),
						" ", int64(span.StartTimestamp()), " ", int64(span.EndTimestamp()), " ", span.Status().Code(), span.Status().Message(), " ",
						flat(span.Attributes()), " ", rest, " ", scope.Scope().Name(), " ", flat(resource.Resource().Attributes())))
				}
			}
		}
	}
	sort.Strings(lines)
	return lines
}

func flat(attributes pcommon.Map) []string {
	var out []string
	for key, value := range attributes.All() {
		out = append(out, fmt.Sprintf("%s:%s=%s", key, value.Type(), value.AsString()))
	}
	sort.Strings(out)
	return out
}

type stream interface {
	Recv() (*jptrace.TracesData, error)
}

func received(what string, from stream) []string {
	var all []ptrace.Traces
	for {
		part, err := from.Recv()
		if errors.Is(err, io.EOF) {
			return otlpSpans(all...)
		}
		check(what, err)
		all = append(all, part.ToTraces())
	}
}

func sorted(list []string) []string {
	sort.Strings(list)
	return list
}

func main() {
	base, address, service, operation, id := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	start, err := strconv.ParseInt(os.Args[6], 10, 64)
	check("start", err)
	end, err := strconv.ParseInt(os.Args[7], 10, 64)
	check("end", err)
	seen := map[string]any{}

	var services, operations []string
	v1(base+"/api/services", &services)
	seen["v1 services"] = sorted(services)
	v1(base+"/api/services/"+url.PathEscape(service)+"/operations", &operations)
	seen["v1 operations of a service"] = sorted(operations)
	var kinds []uimodel.Operation
	v1(base+"/api/operations?service="+url.QueryEscape(service), &kinds)
	sort.Slice(kinds, func(a, b int) bool { return kinds[a].Name+kinds[a].SpanKind < kinds[b].Name+kinds[b].SpanKind })
	seen["v1 operations"] = kinds
	var traces []uimodel.Trace
	query := url.Values{"service": {service}, "operation": {operation}, "limit": {"20"},
		"start": {strconv.FormatInt(start, 10)}, "end": {strconv.FormatInt(end, 10)}}
	v1(base+"/api/traces?"+query.Encode(), &traces)
	seen["v1 search"] = uiSpans(traces)
	traces = nil
	v1(base+"/api/traces/"+id, &traces)
	seen["v1 trace"] = uiSpans(traces)
	links := []uimodel.DependencyLink{}
	v1(fmt.Sprintf("%s/api/dependencies?endTs=%d&lookback=%d", base, end/1000, (end-start)/1000), &links)
	sort.Slice(links, func(a, b int) bool { return links[a].Parent+links[a].Child < links[b].Parent+links[b].Child })
	calls := []uimodel.DependencyLink{}
	for _, link := range links {
		// Jaeger's memory also counts what a service calls of itself.
		if link.Parent != link.Child {
			calls = append(calls, link)
		}
	}
	seen["v1 dependencies"] = calls
	status, body := get(base + "/api/traces/00000000000000000000000000000bad")
	var missing envelope
	strict("v1 unknown trace", body, &missing)
	seen["v1 unknown trace"] = fmt.Sprint(status, " ", missing.Errors[0].Code, " ", missing.Errors[0].Msg)

	var told api_v3.GetServicesResponse
	v3(base+"/api/v3/services", &told)
	seen["v3 services"] = sorted(told.Services)
	var of api_v3.GetOperationsResponse
	v3(base+"/api/v3/operations?service="+url.QueryEscape(service), &of)
	seen["v3 operations"] = names(of.Operations)
	var whole api_v3.GRPCGatewayWrapper
	v3(base+"/api/v3/traces/"+id, &whole)
	seen["v3 trace"] = otlpSpans(whole.Result.ToTraces())
	from, to := time.UnixMicro(start).UTC(), time.UnixMicro(end).UTC()
	search := url.Values{"query.service_name": {service}, "query.operation_name": {operation}, "query.num_traces": {"20"},
		"query.start_time_min": {from.Format(time.RFC3339Nano)}, "query.start_time_max": {to.Format(time.RFC3339Nano)}}
	var found api_v3.GRPCGatewayWrapper
	v3(base+"/api/v3/traces?"+search.Encode(), &found)
	seen["v3 search"] = otlpSpans(found.Result.ToTraces())

	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(address, err)
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	client := api_v3.NewQueryServiceClient(connection)
	all, err := client.GetServices(ctx, &api_v3.GetServicesRequest{})
	check("gRPC GetServices", err)
	seen["gRPC services"] = sorted(all.Services)
	have, err := client.GetOperations(ctx, &api_v3.GetOperationsRequest{Service: service})
	check("gRPC GetOperations", err)
	seen["gRPC operations"] = names(have.Operations)
	one, err := client.GetTrace(ctx, &api_v3.GetTraceRequest{TraceId: id})
	check("gRPC GetTrace", err)
	seen["gRPC trace"] = received("gRPC GetTrace", one)
	many, err := client.FindTraces(ctx, &api_v3.FindTracesRequest{Query: &api_v3.TraceQueryParameters{
		ServiceName: service, OperationName: operation, StartTimeMin: from, StartTimeMax: to, SearchDepth: 20}})
	check("gRPC FindTraces", err)
	seen["gRPC search"] = received("gRPC FindTraces", many)

	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", " ")
	check("output", out.Encode(seen))
}

func names(operations []*api_v3.Operation) []string {
	var out []string
	for _, one := range operations {
		out = append(out, one.Name+" "+one.SpanKind)
	}
	return sorted(out)
}

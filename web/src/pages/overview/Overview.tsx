// SPDX-License-Identifier: Apache-2.0
// Landing page: is it up, what comes in, who sends it, does it get out again.
import { Skeleton } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useEffect } from "react";
import { useOverview } from "../../api/hooks";
import type { Overview as Answer, Pipeline, Service } from "../../api/types";
import { loadCharts } from "../../charts/TimeChart";
import list from "../../components/ListPanel.module.css";
import { NotStored } from "../../components/NotStored";
import { OverlayPanel } from "../../components/OverlayPanel";
import { Box } from "../../components/Panel";
import { ScrollRegion } from "../../components/ScrollRegion";
import { SendData } from "../../components/SendData";
import { StatTile } from "../../components/StatTile";
import { Stale, Trouble } from "../../components/Trouble";
import { ago, duration, formatValue } from "../../lib/format";
import { globalSearch } from "../../state/search";
import { useNow, usePageSearch } from "../../state/view";
import styles from "./Overview.module.css";
import { HEADLINE, TILES } from "./panels";

export function Overview() {
  useChartsWhenIdle();
  const overview = useOverview();
  const answer = overview.data;
  return (
    <>
      {answer && <Status answer={answer} />}
      {overview.error &&
        (answer ? (
          <Stale since={overview.dataUpdatedAt} error={overview.error} />
        ) : (
          <Trouble error={overview.error} onRetry={() => void overview.refetch()} />
        ))}
      {answer?.stored === false ? <NotStored /> : <Measures empty={answer?.services.length === 0} />}
      <div className={styles.lists}>
        {overview.isPending && !overview.error && <Skeleton height={180} radius="md" />}
        {answer && answer.services.length > 0 && <Services services={answer.services} />}
        {answer && <Pipelines pipelines={answer.pipelines} />}
      </div>
    </>
  );
}

function Measures({ empty }: { empty: boolean }) {
  return (
    <>
      {empty && <SendData />}
      <div className={styles.tiles}>
        {TILES.map((tile) => (
          <StatTile key={tile.id} spec={tile} />
        ))}
      </div>
      <OverlayPanel spec={HEADLINE} className={styles.headline} />
    </>
  );
}

/** The other pages need the chart library soon: fetch it once this one is painted. */
function useChartsWhenIdle(): void {
  useEffect(() => {
    const timer = setTimeout(() => void loadCharts(), 1500);
    return () => clearTimeout(timer);
  }, []);
}

function Status({ answer }: { answer: Answer }) {
  const search = globalSearch(usePageSearch());
  return (
    <div className={styles.status} data-panel="status">
      <span className={answer.ready ? styles.ready : styles.starting}>
        <span aria-hidden="true">{answer.ready ? "\u25cf" : "\u25cb"}</span>
        {answer.ready ? "Ready" : "Starting"}
      </span>
      <dl>
        <div>
          <dt>version</dt>
          <dd>{answer.version}</dd>
        </div>
        <div>
          <dt>up</dt>
          <dd>{duration(answer.uptime_seconds * 1000)}</dd>
        </div>
        <div>
          <dt>services</dt>
          <dd>{answer.services.length}</dd>
        </div>
        <div>
          <dt>pipelines</dt>
          <dd>{answer.pipelines.length}</dd>
        </div>
        {answer.series !== undefined && (
          <div>
            <dt>series</dt>
            <dd>{formatValue(answer.series, "count")}</dd>
          </div>
        )}
      </dl>
      <Link to="/inference" search={search}>
        See the predictions
      </Link>
    </div>
  );
}

function Services({ services }: { services: Service[] }) {
  const now = useNow();
  const search = globalSearch(usePageSearch());
  const sorted = [...services].sort((a, b) => a.name.localeCompare(b.name));
  return (
    <Box id="services" title="Services">
      <ScrollRegion className={list.scroll} label="Services as a table">
        <table className={list.table}>
          <thead>
            <tr>
              <th scope="col">Service</th>
              <th scope="col" className={list.value}>
                Spans
              </th>
              <th scope="col" className={list.value}>
                Points
              </th>
              <th scope="col" className={list.value}>
                Logs
              </th>
              <th scope="col" className={list.value}>
                Last seen
              </th>
            </tr>
          </thead>
          <tbody>
            {sorted.map((service) => (
              <tr key={service.name}>
                <th scope="row">{service.name || "unnamed"}</th>
                <td className={list.value}>
                  {service.spans > 0 ? (
                    <Link to="/traces" search={{ ...search, service: service.name }}>
                      {formatValue(service.spans, "count")}
                    </Link>
                  ) : (
                    <span className={list.muted}>0</span>
                  )}
                </td>
                <td className={list.value}>{formatValue(service.points, "count")}</td>
                <td className={list.value}>
                  {service.logs > 0 ? (
                    <Link to="/logs" search={{ ...search, service: service.name }}>
                      {formatValue(service.logs, "count")}
                    </Link>
                  ) : (
                    <span className={list.muted}>0</span>
                  )}
                </td>
                <td className={list.value}>
                  <LastSeen at={service.last_seen_ms} now={now} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollRegion>
    </Box>
  );
}

/** SDKs export metrics every 60 s by default: silent for longer than two of these is worth a word. */
const SILENT_MS = 120_000;

function LastSeen({ at, now }: { at: number; now: number }) {
  const silent = now - at > SILENT_MS;
  return (
    <span className={silent ? styles.silent : undefined}>
      {silent && <span className={styles.word}>silent</span>} {ago(at, now)}
    </span>
  );
}

function Pipelines({ pipelines }: { pipelines: Pipeline[] }) {
  const generating = pipelines.some(({ generated = 0 }) => generated > 0);
  return (
    <Box id="pipelines" title="Pipelines">
      {pipelines.length === 0 ? (
        <p className={list.empty}>The configuration has no pipelines.</p>
      ) : (
        <ScrollRegion className={list.scroll} label="Pipelines as a table">
          <table className={list.table}>
            <thead>
              <tr>
                <th scope="col">Pipeline</th>
                <th scope="col" className={list.value}>
                  Received
                </th>
                {generating && (
                  <th scope="col" className={list.value}>
                    Predicted
                  </th>
                )}
                <th scope="col" className={list.value}>
                  Delivered
                </th>
                <th scope="col" className={list.value}>
                  In flight
                </th>
                <th scope="col" className={list.value}>
                  Dropped
                </th>
              </tr>
            </thead>
            <tbody>
              {pipelines.map((pipeline) => (
                <tr key={pipeline.name}>
                  <th scope="row">
                    {pipeline.name}
                    {pipeline.signal !== pipeline.name && (
                      <span className={styles.signal}>{pipeline.signal}</span>
                    )}
                  </th>
                  <td className={list.value}>{formatValue(pipeline.received, "count")}</td>
                  {generating && (
                    <td className={list.value}>{formatValue(pipeline.generated ?? 0, "count")}</td>
                  )}
                  <td className={list.value}>{formatValue(pipeline.delivered, "count")}</td>
                  <td className={list.value}>{formatValue(pipeline.in_flight, "count")}</td>
                  <td className={`${list.value} ${pipeline.dropped > 0 ? list.bad : ""}`}>
                    {formatValue(pipeline.dropped, "count")}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollRegion>
      )}
    </Box>
  );
}

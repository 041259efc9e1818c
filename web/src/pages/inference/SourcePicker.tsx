// SPDX-License-Identifier: Apache-2.0
// Which service (or the machine) the before-and-after panels show; lives in the URL as `service`.
import { NativeSelect } from "@mantine/core";
import { useInstant } from "../../api/hooks";
import { usePageSearch, useSetSearch } from "../../state/view";
import { HOST, SOURCES } from "./panels";

export function SourcePicker() {
  const { service = "" } = usePageSearch();
  const set = useSetSearch();
  const answer = useInstant(SOURCES, true).data?.data;
  const found =
    answer?.resultType === "vector" ? answer.result.map(({ metric }) => metric.service_name ?? HOST) : [];
  const names = [...new Set([...found, ...(service === "" ? [] : [service])])].sort();
  return (
    <NativeSelect
      size="xs"
      aria-label="Source"
      value={service}
      data={[
        { value: "", label: "All services" },
        ...names.map((name) => ({ value: name, label: name === HOST ? "This machine" : name })),
      ]}
      onChange={(event) => set({ service: event.currentTarget.value || undefined })}
    />
  );
}

// SPDX-License-Identifier: Apache-2.0
// Narrowing a recent list: one service, and a text. Both live in the URL.
import { NativeSelect, TextInput } from "@mantine/core";
import type { ReactNode } from "react";
import { ExploreIcon } from "../../components/icons";
import { usePageSearch, useSetSearch } from "../../state/view";
import styles from "./Recent.module.css";

interface Props {
  services: string[];
  what: string;
  children: ReactNode;
}

export function Filters({ services, what, children }: Props) {
  const { q = "", service = "" } = usePageSearch();
  const set = useSetSearch();
  const names = [...new Set([...services, ...(service ? [service] : [])])].sort();
  return (
    <div className={styles.filters}>
      <NativeSelect
        size="xs"
        aria-label="Service"
        value={service}
        data={[{ value: "", label: "All services" }, ...names.map((name) => ({ value: name, label: name }))]}
        onChange={(event) => set({ service: event.currentTarget.value || undefined })}
      />
      <TextInput
        size="xs"
        type="search"
        aria-label={`Find in ${what}`}
        placeholder={`Find in ${what}`}
        leftSection={<ExploreIcon size={14} />}
        value={q}
        onChange={(event) => set({ q: event.currentTarget.value || undefined })}
      />
      <span className={styles.count}>{children}</span>
    </div>
  );
}

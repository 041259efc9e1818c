// SPDX-License-Identifier: Apache-2.0
// The bar above every page: time range, refresh, when data last came, theme.
import { ActionIcon, Menu, NativeSelect, Tooltip } from "@mantine/core";
import { useIsFetching, useQueryClient } from "@tanstack/react-query";
import { useUpdatedAt } from "../api/hooks";
import { CheckIcon, MoonIcon, RefreshIcon, SunIcon, SystemIcon } from "../components/icons";
import { clock } from "../lib/format";
import { THEMES, type Theme } from "../state/search";
import { isLive, REFRESHES } from "../state/time";
import { rememberTheme, useScheme, useSetSearch, useView } from "../state/view";
import styles from "./Controls.module.css";
import { RangePicker } from "./RangePicker";

const REFRESH_NAMES = { off: "Off", live: "Live", "10s": "10 s", "30s": "30 s", "1m": "1 min" } as const;

export function Controls() {
  return (
    <div className={styles.controls}>
      <Updated />
      <RangePicker />
      <RefreshControls />
      <ThemeMenu />
    </div>
  );
}

function Updated() {
  const at = useUpdatedAt();
  const waiting = useIsFetching() > 0 ? "waiting for data" : "";
  return (
    <span className={styles.updated} data-testid="updated">
      {at === 0 ? waiting : `updated ${clock(at)}`}
    </span>
  );
}

function RefreshControls() {
  const { range, refresh } = useView();
  const set = useSetSearch();
  const client = useQueryClient();
  const busy = useIsFetching() > 0;
  const frozen = !isLive(range);
  return (
    <div className={styles.refresh}>
      <NativeSelect
        size="xs"
        aria-label="Refresh"
        value={frozen ? "off" : refresh}
        disabled={frozen}
        title={frozen ? "A range that has ended does not change" : undefined}
        data={REFRESHES.map((value) => ({ value, label: REFRESH_NAMES[value] }))}
        onChange={(event) => set({ refresh: event.currentTarget.value })}
      />
      <Tooltip label="Refresh now">
        <ActionIcon
          variant="default"
          size={30}
          aria-label="Refresh now"
          onClick={() => void client.refetchQueries({ type: "active" })}
        >
          <span className={busy ? styles.busy : styles.idle}>
            <RefreshIcon />
          </span>
        </ActionIcon>
      </Tooltip>
    </div>
  );
}

const THEME_NAMES: Record<Theme, string> = { system: "As the system", light: "Light", dark: "Dark" };
const THEME_ICONS: Record<Theme, typeof SunIcon> = { system: SystemIcon, light: SunIcon, dark: MoonIcon };

function ThemeMenu() {
  const { theme } = useView();
  const scheme = useScheme();
  const set = useSetSearch();
  const choose = (next: Theme) => {
    rememberTheme(next);
    set({ theme: next });
  };
  return (
    <Menu position="bottom-end" shadow="md">
      <Menu.Target>
        <ActionIcon variant="default" size={30} aria-label={`Theme: ${THEME_NAMES[theme]}`}>
          {scheme === "dark" ? <MoonIcon /> : <SunIcon />}
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {THEMES.map((name) => {
          const Icon = THEME_ICONS[name];
          return (
            <Menu.Item
              key={name}
              leftSection={<Icon />}
              rightSection={name === theme ? <CheckIcon size={14} /> : null}
              onClick={() => choose(name)}
            >
              {THEME_NAMES[name]}
            </Menu.Item>
          );
        })}
      </Menu.Dropdown>
    </Menu>
  );
}

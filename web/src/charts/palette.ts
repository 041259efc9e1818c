// SPDX-License-Identifier: Apache-2.0
// Colours of charts, light and dark. Neighbours differ in lightness too, so that they stay apart without
// red-green vision; what is predicted is also dashed, and named so, never told by colour alone.

export type Scheme = "light" | "dark";

export interface Palette {
  series: readonly string[];
  measured: string;
  predicted: string;
  band: string;
  danger: string;
  text: string;
  axis: string;
  gridLine: string;
  surface: string;
}

export const PALETTES: Record<Scheme, Palette> = {
  light: {
    series: ["#1769d2", "#0b8f6f", "#9c36b5", "#8a6a00", "#0a8fb0", "#c2254f", "#5850d6", "#5d6b2a"],
    measured: "#1769d2",
    predicted: "#c2570c",
    band: "rgba(194, 87, 12, 0.16)",
    danger: "#c4232f",
    text: "#1a2433",
    axis: "#5a6576",
    gridLine: "#e8ebef",
    surface: "#ffffff",
  },
  dark: {
    series: ["#6cb6ff", "#4fd1a5", "#e19bf0", "#e3c65b", "#4fd3e8", "#ff8fa8", "#a9a5ff", "#b9cf73"],
    measured: "#6cb6ff",
    predicted: "#ffb454",
    band: "rgba(255, 180, 84, 0.17)",
    danger: "#ff7b82",
    text: "#e6ebf1",
    axis: "#98a4b3",
    gridLine: "#242d37",
    surface: "#161c23",
  },
};

/** Colour of the series at `index` of a chart. */
export function seriesColour(palette: Palette, index: number): string {
  return palette.series[index % palette.series.length] ?? palette.measured;
}

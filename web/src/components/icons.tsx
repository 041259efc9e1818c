// SPDX-License-Identifier: Apache-2.0
// Line icons, 24 x 24, in the colour of the text around them. Decoration only: the control names itself.
import type { ReactNode } from "react";

interface IconProps {
  size?: number;
}

function Drawing({ size = 16, children }: IconProps & { children: ReactNode }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="2"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {children}
    </svg>
  );
}

export const OverviewIcon = (props: IconProps) => (
  <Drawing {...props}>
    <rect x="3" y="3" width="7" height="9" rx="1.5" />
    <rect x="14" y="3" width="7" height="5" rx="1.5" />
    <rect x="14" y="12" width="7" height="9" rx="1.5" />
    <rect x="3" y="16" width="7" height="5" rx="1.5" />
  </Drawing>
);
export const InferenceIcon = (props: IconProps) => (
  <Drawing {...props}>
    <path d="M3 16l5-6 4 3" />
    <path d="M12 13l4-6 5-2" strokeDasharray="2.5 3.5" />
    <path d="M3 21h18" />
  </Drawing>
);
export const ExploreIcon = (props: IconProps) => (
  <Drawing {...props}>
    <circle cx="11" cy="11" r="7" />
    <path d="M20 20l-4-4" />
  </Drawing>
);
export const TracesIcon = (props: IconProps) => (
  <Drawing {...props}>
    <path d="M3 6h13" />
    <path d="M7 12h10" />
    <path d="M12 18h9" />
  </Drawing>
);
export const LogsIcon = (props: IconProps) => (
  <Drawing {...props}>
    <path d="M5 3h10l4 4v14H5z" />
    <path d="M9 11h6M9 15h6" />
  </Drawing>
);
export const RefreshIcon = (props: IconProps) => (
  <Drawing {...props}>
    <path d="M20 11a8 8 0 1 0-2.3 5.7" />
    <path d="M20 4v7h-7" />
  </Drawing>
);
export const ClockIcon = (props: IconProps) => (
  <Drawing {...props}>
    <circle cx="12" cy="12" r="9" />
    <path d="M12 7v5l3 2" />
  </Drawing>
);
export const SunIcon = (props: IconProps) => (
  <Drawing {...props}>
    <circle cx="12" cy="12" r="4" />
    <path d="M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M5 19l1.4-1.4M17.6 6.4L19 5" />
  </Drawing>
);
export const MoonIcon = (props: IconProps) => (
  <Drawing {...props}>
    <path d="M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z" />
  </Drawing>
);
export const SystemIcon = (props: IconProps) => (
  <Drawing {...props}>
    <rect x="3" y="4" width="18" height="13" rx="2" />
    <path d="M8 21h8M12 17v4" />
  </Drawing>
);
export const TableIcon = (props: IconProps) => (
  <Drawing {...props}>
    <rect x="3" y="4" width="18" height="16" rx="2" />
    <path d="M3 10h18M3 15h18M10 4v16" />
  </Drawing>
);
export const ChartIcon = (props: IconProps) => (
  <Drawing {...props}>
    <path d="M4 4v16h16" />
    <path d="M8 14l4-5 3 3 4-6" />
  </Drawing>
);
export const HelpIcon = (props: IconProps) => (
  <Drawing {...props}>
    <circle cx="12" cy="12" r="9" />
    <path d="M9.5 9.5a2.5 2.5 0 1 1 3.5 2.3c-.7.4-1 .9-1 1.7" />
    <path d="M12 17h.01" />
  </Drawing>
);
export const CopyIcon = (props: IconProps) => (
  <Drawing {...props}>
    <rect x="9" y="9" width="11" height="11" rx="2" />
    <path d="M5 15V6a2 2 0 0 1 2-2h9" />
  </Drawing>
);
export const CheckIcon = (props: IconProps) => (
  <Drawing {...props}>
    <path d="M5 13l4 4L19 7" />
  </Drawing>
);
export const ChevronIcon = (props: IconProps) => (
  <Drawing {...props}>
    <path d="M6 9l6 6 6-6" />
  </Drawing>
);
export const WarningIcon = (props: IconProps) => (
  <Drawing {...props}>
    <path d="M12 4l9 16H3z" />
    <path d="M12 10v4M12 17h.01" />
  </Drawing>
);
export const PlayIcon = (props: IconProps) => (
  <Drawing {...props}>
    <path d="M7 5l12 7-12 7z" />
  </Drawing>
);

/** The mark of the product: a line that goes on, dashed. */
export function Mark({ size = 26 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <path
        d="M4 21l7-8 5 5"
        fill="none"
        stroke="#7cc4ff"
        strokeWidth="3.2"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
      <path
        d="M16 18l5-7 7-3"
        fill="none"
        stroke="#ffb454"
        strokeWidth="3.2"
        strokeLinecap="round"
        strokeLinejoin="round"
        strokeDasharray="3.5 4.5"
      />
    </svg>
  );
}

// SPDX-License-Identifier: Apache-2.0
// A part of the page that scrolls by itself: named, and reachable by keyboard.
import type { ReactNode } from "react";

interface Props {
  label: string;
  className?: string | undefined;
  children: ReactNode;
}

export function ScrollRegion({ label, className, children }: Props) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: without it the keyboard cannot scroll what overflows.
    <section className={className} tabIndex={0} aria-label={label}>
      {children}
    </section>
  );
}

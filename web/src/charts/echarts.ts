// SPDX-License-Identifier: Apache-2.0
// The part of ECharts that is used; loaded on its own, after the first page is up.
import { LineChart } from "echarts/charts";
import { DatasetComponent, GridComponent, MarkLineComponent, TooltipComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

use([LineChart, DatasetComponent, GridComponent, MarkLineComponent, TooltipComponent, CanvasRenderer]);

export { init };

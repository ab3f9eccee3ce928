// What the report uses of Apache ECharts; README.md beside says how echarts.min.js is built from it.
import { getInstanceByDom, init, use } from "echarts/core";
import { BarChart, LineChart, ScatterChart } from "echarts/charts";
import { GridComponent, LegendComponent, MarkLineComponent, TooltipComponent } from "echarts/components";
import { LabelLayout } from "echarts/features";
import { SVGRenderer } from "echarts/renderers";

use([BarChart, LineChart, ScatterChart, GridComponent, LegendComponent, MarkLineComponent, TooltipComponent]);
use([LabelLayout, SVGRenderer]);
window.echarts = { getInstanceByDom, init };

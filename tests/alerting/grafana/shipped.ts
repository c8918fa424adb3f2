import { Dashboard, Panel, RowPanel } from '@grafana/schema';
import { PrometheusDataQuery } from '@grafana/schema/dist/esm/raw/composable/prometheus/dataquery/x/PrometheusDataQuery_types.gen';
import * as heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

export interface Of<Type extends string, Options, Custom = Record<string, never>>
  extends Omit<Panel<Options, Custom>, 'type' | 'options' | 'targets'> {
  type: Type;
  options: Options;
  targets: PrometheusDataQuery[];
}
export interface AlertList extends Omit<Panel, 'type'> { type: 'alertlist'; }
export interface Row extends Omit<RowPanel, 'panels'> { panels: never[]; }

export interface Shipped extends Omit<Dashboard, 'panels'> {
  panels: Array<
    | Row
    | AlertList
    | Of<'stat', stat.StatOptions>
    | Of<'timeseries', timeseries.TimeSeriesOptions, timeseries.TimeSeriesFieldConfig>
    | Of<'heatmap', heatmap.HeatmapOptions, heatmap.HeatmapFieldConfig>
    | Of<'table', table.TableOptions>
  >;
}

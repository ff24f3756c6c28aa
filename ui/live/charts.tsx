/** Two small charts: calls per second as they come, and how long a function's calls take. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { formatCount } from "../../src/report/units.ts";
import type { LiveHistogram } from "../../src/server/live-api.ts";
import { colours, theme } from "../theme.ts";

type ChartProps = {
  readonly title: string;
  readonly data: uPlot.AlignedData;
  readonly options: () => Pick<uPlot.Options, "series" | "axes" | "scales">;
};

const height = 190;

/** A chart that follows its data, its theme and the width that it has. */
function Chart({ title, data, options }: ChartProps): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  const look = theme.value;
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const made = new uPlot(
      {
        width: element.clientWidth || 300,
        height,
        legend: { show: false },
        cursor: { show: false },
        ...options(),
      },
      data,
      element,
    );
    chart.current = made;
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0) made.setSize({ width: element.clientWidth, height });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [look]);
  useEffect(() => chart.current?.setData(data), [data]);
  return (
    <div class="chart">
      <h4>{title}</h4>
      <div ref={place} />
    </div>
  );
}

const axis = (): uPlot.Axis => ({
  stroke: colours().dim,
  font: "11px system-ui, 'DejaVu Sans', sans-serif",
  grid: { stroke: colours().line, width: 1 },
  ticks: { stroke: colours().line, width: 1 },
});

/** Steps between whole numbers: there are no halves of calls. */
const wholeSteps: number[] = Array.from({ length: 13 }, (_, power) =>
  [1, 2, 5].map((step) => step * 10 ** power),
).flat();

/** A scale of counts, from zero, and its axis. */
const countScale: uPlot.Scale = { range: (_, __, most) => [0, Math.max(5, most * 1.1)] };
const countAxis = (): uPlot.Axis => ({
  ...axis(),
  size: 64,
  incrs: wholeSteps,
  values: (_, ticks) => ticks.map(shortCount),
});

/** A power of ten of nanoseconds: `100 us`. */
function decade(power: number): string {
  const unit = Math.min(3, Math.max(0, Math.floor(power / 3)));
  return `${10 ** (power - unit * 3)} ${["ns", "us", "ms", "s"][unit]}`;
}

/** Whole numbers as short as they can be told apart: 1.2 M. */
export function shortCount(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)} M`;
  if (value >= 1e4) return `${(value / 1e3).toPrecision(3)} k`;
  return formatCount(value);
}

export function RateChart({
  history,
}: {
  readonly history: readonly (readonly [number, number])[];
}): JSX.Element {
  const data: uPlot.AlignedData = [history.map(([at]) => at), history.map(([, rate]) => rate)];
  return (
    <Chart
      title="Calls per second of all watched functions"
      data={data}
      options={() => ({
        scales: { x: { time: false }, y: countScale },
        series: [
          {},
          {
            stroke: colours().accent,
            width: 1.5,
            fill: colours().selection,
            points: { show: false },
          },
        ],
        axes: [{ ...axis(), values: (_, ticks) => ticks.map((tick) => `${tick} s`) }, countAxis()],
      })}
    />
  );
}

type HistogramProps = { readonly histogram: LiveHistogram; readonly name: string };

/** Buckets are 8 to each power of two; the axis is logarithmic. */
export function HistogramChart({ histogram, name }: HistogramProps): JSX.Element {
  const { buckets } = histogram;
  const data: uPlot.AlignedData = [
    buckets.map(({ fromNs, toNs }) => Math.log10((fromNs + toNs) / 2)),
    buckets.map(({ calls }) => calls),
  ];
  const bars = uPlot.paths.bars?.({ size: [0.9, 14, 1] });
  return (
    <Chart
      title={`Durations of ${name}`}
      data={data}
      options={() => ({
        scales: {
          x: {
            time: false,
            range: (_, least, most) => [Math.floor(least), Math.max(least + 1, Math.ceil(most))],
          },
          y: countScale,
        },
        series: [
          {},
          {
            stroke: colours().accent,
            fill: colours().accent,
            ...(bars === undefined ? {} : { paths: bars }),
            points: { show: false },
          },
        ],
        axes: [
          {
            ...axis(),
            incrs: [1, 2, 3],
            values: (_, ticks) => ticks.map(decade),
          },
          countAxis(),
        ],
      })}
    />
  );
}

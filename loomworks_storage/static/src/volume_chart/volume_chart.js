/* global Chart */
import { Component, onWillStart, useEffect, useRef } from "@odoo/owl";
import { loadBundle } from "@web/core/assets";
import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";
import { standardFieldProps } from "@web/views/fields/standard_field_props";

const GIB = 1024 ** 3;
const DAY = 24 * 3600 * 1000; // milliseconds: the least that is shown
const FEW = 24; // readings that are shown as points, too
const USED = "#017e84";
const ROOM = "#6c757d";
const AHEAD = "#e99d00";

/** What has been used of a volume over time, the room it had, and where that leads. */
export class VolumeChartField extends Component {
    static template = "loomworks_storage.VolumeChart";
    static props = { ...standardFieldProps };

    setup() {
        this.canvas = useRef("canvas");
        onWillStart(() => loadBundle("web.chartjs_lib"));
        useEffect(
            (readings) => {
                if (!readings) {
                    return;
                }
                const chart = new Chart(this.canvas.el, this.config);
                return () => chart.destroy();
            },
            () => [this.readings.length]
        );
    }

    get data() {
        return this.props.record.data[this.props.name] || { readings: [], ahead: [] };
    }

    get readings() {
        return this.data.readings;
    }

    get config() {
        const lines = [
            this.line(_t("Used"), USED, this.readings.map(([at, used]) => [at, used]), {
                fill: true,
                backgroundColor: `${USED}22`,
            }),
            this.line(_t("Room"), ROOM, this.readings.map(([at, , size]) => [at, size]), { stepped: true }),
        ];
        if (this.data.ahead.length) {
            lines.push(this.line(_t("Forecast"), AHEAD, this.data.ahead, { borderDash: [6, 4] }));
        }
        return {
            type: "line",
            data: { datasets: lines },
            options: {
                animation: false,
                maintainAspectRatio: false,
                parsing: false,
                interaction: { mode: "nearest", axis: "x", intersect: false },
                scales: {
                    x: {
                        type: "time",
                        min: Math.min(this.readings[0][0], this.readings.at(-1)[0] - DAY),
                        time: { tooltipFormat: "DDD T", minUnit: "minute" },
                        ticks: { maxTicksLimit: 8 },
                    },
                    y: { beginAtZero: true, title: { display: true, text: "GiB" } },
                },
                plugins: {
                    legend: { labels: { usePointStyle: true, pointStyle: "line" } },
                    tooltip: {
                        callbacks: { label: ({ dataset, parsed }) => `${dataset.label}: ${parsed.y.toFixed(2)} GiB` },
                    },
                },
            },
        };
    }

    line(label, color, points, more) {
        const data = points.map(([at, bytes]) => ({ x: at, y: bytes / GIB }));
        return { label, data, borderColor: color, borderWidth: 2, pointRadius: data.length > FEW ? 0 : 3, pointHitRadius: 8, ...more };
    }
}

registry.category("fields").add("loomworks_volume_chart", {
    component: VolumeChartField,
    displayName: _t("Usage of a volume over time"),
    supportedTypes: ["json"],
});

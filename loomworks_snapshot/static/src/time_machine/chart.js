import { Component, onMounted, onWillUnmount, useRef, useState } from "@odoo/owl";
import { _t } from "@web/core/l10n/translation";
import { SECOND, Scale, grouped, ticks, zoomed } from "./scale";

const { DateTime } = luxon;

const GUTTER = 146; // pixels for the names of the lanes
const MARGIN = 14;
const AXIS = 44;
const LANE = 48;
const FOOT = 8;
const NEAR = 13; // pixels between two marks that are drawn apart
const WIDE = 32; // pixels that a group of marks takes
const DRAG = 4; // pixels from which a press is a drag
const WHEEL = 1.25;

/** The time line: a lane for each kind of mark, what can be restored shaded, and one picked moment. */
export class TimeMachineChart extends Component {
    static template = "loomworks_snapshot.TimeMachineChart";
    static props = {
        window: Object, // since, until
        now: Number,
        lanes: Array, // name, title, marks (kind, id, at, label, look)
        restorable: Array, // since, until
        gaps: Array,
        listedSince: [Number, Boolean], // older operations are not listed
        picked: [Object, Boolean], // at, kind, id
        onPick: Function,
        onWindow: Function,
    };

    setup() {
        this.root = useRef("root");
        this.state = useState({ width: 900, hover: null });
        this.press = null;
        const observer = new ResizeObserver(([entry]) => {
            this.state.width = Math.max(360, Math.floor(entry.contentRect.width));
        });
        onMounted(() => observer.observe(this.root.el));
        onWillUnmount(() => observer.disconnect());
    }

    get scale() {
        const { since, until } = this.props.window;
        return new Scale(since, until, GUTTER, this.state.width - GUTTER - MARGIN);
    }
    get height() {
        return AXIS + this.props.lanes.length * LANE + FOOT;
    }
    get top() {
        return AXIS;
    }
    get left() {
        return GUTTER;
    }
    get right() {
        return this.state.width - MARGIN;
    }
    get bottom() {
        return this.height - FOOT;
    }
    get nowX() {
        return this.scale.clamped(this.props.now);
    }
    get ticks() {
        return ticks(this.scale).map((tick) => ({ ...tick, x: this.scale.x(tick.at) }));
    }

    get lanes() {
        return this.props.lanes.map((lane, i) => ({
            ...lane,
            y: AXIS + i * LANE,
            middle: AXIS + i * LANE + LANE / 2,
            groups: grouped(lane.marks, this.scale, NEAR, WIDE).map((group) => this.drawn(group)),
            ways: lane.marks.filter((mark) => mark.back).map((mark) => this.way(mark)).filter((way) => way.width > 8),
        }));
    }

    drawn(group) {
        const [mark] = group.marks;
        const many = group.marks.length > 1;
        return {
            ...group,
            many,
            look: many ? this.commonLook(group.marks) : mark.look,
            label: many ? _t("%(count)s marks: %(first)s, ...", { count: group.marks.length, first: mark.label }) : mark.label,
            isPicked: group.marks.some((one) => this.isPicked(one)),
        };
    }

    commonLook(marks) {
        const looks = new Set(marks.map((one) => one.look));
        return looks.size === 1 ? marks[0].look : looks.has("danger") ? "danger" : "mixed";
    }

    /** From where a restore was put in place, back to where it led. */
    way(mark) {
        const [from, to] = [this.scale.clamped(mark.back), this.scale.clamped(mark.at)];
        return { key: `way-${mark.id}`, from, width: to - from, arrow: this.scale.holds(mark.back) };
    }

    isPicked(mark) {
        const { picked } = this.props;
        return Boolean(picked && picked.kind === mark.kind && picked.id === mark.id);
    }

    bands(spans) {
        return spans
            .filter((span) => span.until >= this.props.window.since && span.since <= this.props.window.until)
            .map((span) => {
                const [x, end] = [this.scale.clamped(span.since), this.scale.clamped(span.until)];
                return { key: span.since, x, width: Math.max(end - x, 1) };
            });
    }

    /** The moment that is told above the line: the one below the pointer, or else the picked one. */
    get flags() {
        const { picked } = this.props;
        const flags = [];
        if (picked && this.scale.holds(picked.at)) {
            flags.push({ kind: "picked", x: this.scale.x(picked.at), text: this.text(picked.at) });
        }
        const { hover } = this.state;
        if (hover && !hover.label && hover.x >= GUTTER && hover.x <= this.right) {
            flags.push({ kind: "hover", x: hover.x, text: this.text(this.scale.moment(hover.x)) });
        }
        return flags.map((flag) => {
            const width = flag.text.length * 6.6 + 12;
            return { ...flag, width, from: Math.min(Math.max(flag.x - width / 2, GUTTER), this.right - width) };
        });
    }

    text(moment) {
        const at = DateTime.fromMillis(moment);
        return at.hasSame(DateTime.now(), "day") ? at.toFormat("HH:mm:ss") : at.toFormat("d LLL HH:mm:ss");
    }

    // --- pointer and keys ---

    xOf(ev) {
        return ev.clientX - this.root.el.getBoundingClientRect().left;
    }

    onPointerDown(ev) {
        if (ev.button === 0) {
            this.press = { x: this.xOf(ev), window: { ...this.props.window }, dragged: false };
        }
    }

    onPointerMove(ev) {
        const x = this.xOf(ev);
        if (this.press && (this.press.dragged || Math.abs(x - this.press.x) > DRAG)) {
            if (!this.press.dragged) {
                this.press.dragged = true;
                this.root.el.setPointerCapture(ev.pointerId);
            }
            const { window } = this.press;
            const moved = ((this.press.x - x) / this.scale.width) * (window.until - window.since);
            this.state.hover = null;
            this.props.onWindow({ since: window.since + moved, until: window.until + moved });
        } else if (!this.state.hover?.label) {
            this.state.hover = { x };
        }
    }

    onPointerUp(ev) {
        const { press } = this;
        this.press = null;
        if (press && !press.dragged && !ev.target.closest(".o_time_mark") && press.x >= GUTTER) {
            this.pickMoment(this.scale.moment(press.x));
        }
    }

    onPointerLeave() {
        this.state.hover = null;
    }

    pickMoment(moment) {
        const at = Math.floor(Math.min(moment, this.props.now) / SECOND) * SECOND;
        this.props.onPick({ kind: "moment", id: false, at });
    }

    onEnterMark(group, lane) {
        this.state.hover = { x: group.x, y: lane.y, label: group.label };
    }

    onClickMark(group) {
        const { marks } = group;
        const [last, first] = [marks[0].at, marks.at(-1).at];
        const apart = (last - first) / this.scale.span > 1 / this.scale.width && this.scale.span > 2 * 60 * SECOND;
        this.state.hover = null;
        if (marks.length > 1 && apart) {
            const span = Math.max((last - first) * 1.5, 60 * SECOND);
            const middle = (last + first) / 2;
            this.props.onWindow({ since: middle - span / 2, until: middle + span / 2 });
        } else {
            this.props.onPick(marks[0]);
        }
    }

    onWheel(ev) {
        if (ev.ctrlKey || ev.metaKey || Math.abs(ev.deltaY) > Math.abs(ev.deltaX)) {
            const factor = ev.deltaY > 0 ? WHEEL : 1 / WHEEL;
            this.props.onWindow(zoomed(this.props.window, factor, this.scale.moment(Math.max(this.xOf(ev), GUTTER))));
        } else {
            this.move(ev.deltaX / this.scale.width);
        }
    }

    onKeydown(ev) {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[ev.key];
        if (step && ev.shiftKey) {
            this.pickNextMark(step);
        } else if (step) {
            const from = this.props.picked ? this.props.picked.at : this.props.now;
            this.pickMoment(from + step * Math.max(this.scale.span / 240, SECOND));
        } else if (ev.key === "PageUp" || ev.key === "PageDown") {
            this.move(ev.key === "PageUp" ? -0.5 : 0.5);
        } else if (ev.key === "+" || ev.key === "-") {
            const anchor = this.props.picked ? this.props.picked.at : (this.props.window.since + this.props.window.until) / 2;
            this.props.onWindow(zoomed(this.props.window, ev.key === "+" ? 0.5 : 2, anchor));
        } else if (ev.key === "End") {
            this.pickMoment(this.props.now);
        } else {
            return;
        }
        ev.preventDefault();
        ev.stopPropagation();
    }

    pickNextMark(step) {
        const from = this.props.picked ? this.props.picked.at : this.props.now;
        const marks = this.props.lanes.flatMap((lane) => lane.marks).sort((a, b) => step * (a.at - b.at));
        const next = marks.find((mark) => step * (mark.at - from) > 0);
        if (next) {
            this.props.onPick(next);
        }
    }

    move(share) {
        const { since, until } = this.props.window;
        const moved = share * (until - since);
        this.props.onWindow({ since: since + moved, until: until + moved });
    }
}

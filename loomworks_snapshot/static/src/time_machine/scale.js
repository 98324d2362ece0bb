import { _t } from "@web/core/l10n/translation";

const { DateTime } = luxon;

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export const ZOOMS = [
    { name: "hour", title: _t("Hour"), span: HOUR },
    { name: "day", title: _t("Day"), span: DAY },
    { name: "week", title: _t("Week"), span: 7 * DAY },
    { name: "month", title: _t("Month"), span: 31 * DAY },
];
const NARROWEST = MINUTE;
const WIDEST = 400 * DAY;
const TICK_DISTANCE = 84; // pixels between two labels, at least
const STEPS = [
    ...[1, 5, 15, 30].map((count) => count * SECOND),
    ...[1, 5, 15, 30].map((count) => count * MINUTE),
    ...[1, 3, 6, 12].map((count) => count * HOUR),
    ...[1, 2, 7, 14, 30, 60].map((count) => count * DAY),
];

/** Moments of a span of time as positions on a line, and back. All moments are milliseconds since 1970. */
export class Scale {
    constructor(since, until, left, width) {
        Object.assign(this, { since, until, left, width: Math.max(width, 1) });
    }
    get span() {
        return this.until - this.since;
    }
    x(moment) {
        return this.left + ((moment - this.since) / this.span) * this.width;
    }
    moment(x) {
        return this.since + ((x - this.left) / this.width) * this.span;
    }
    /** x, kept within the line. */
    clamped(moment) {
        return Math.min(Math.max(this.x(moment), this.left), this.left + this.width);
    }
    holds(moment) {
        return moment >= this.since && moment <= this.until;
    }
}

/** Return a window `factor` times as wide, in which `anchor` stays where it is. */
export function zoomed({ since, until }, factor, anchor) {
    const span = Math.min(Math.max((until - since) * factor, NARROWEST), WIDEST);
    const share = (anchor - since) / (until - since);
    return { since: anchor - share * span, until: anchor + (1 - share) * span };
}

/** Return the labelled moments of the axis, in the user's time zone. */
export function ticks(scale) {
    const step = STEPS.find((one) => (one / scale.span) * scale.width >= TICK_DISTANCE) || STEPS.at(-1);
    const found = [];
    let at = DateTime.fromMillis(scale.since).startOf("day");
    if (step >= DAY) {
        const days = step / DAY;
        at = at.minus({ days: Math.floor(at.toMillis() / DAY) % days });
        for (; at.toMillis() <= scale.until; at = at.plus({ days })) {
            found.push({ at: at.toMillis(), label: at.toFormat("d LLL"), strong: false });
        }
    } else {
        at = at.plus(Math.floor((scale.since - at.toMillis()) / step) * step);
        while (at.toMillis() <= scale.until) {
            const day = at.startOf("day");
            const midnight = at.equals(day);
            const label = midnight ? at.toFormat("d LLL") : at.toFormat(step < MINUTE ? "HH:mm:ss" : "HH:mm");
            found.push({ at: at.toMillis(), label, strong: midnight });
            // Days are not all as long: each begins anew at its own midnight.
            const following = at.plus(step);
            at = following.hasSame(at, "day") ? following : day.plus({ days: 1 });
        }
    }
    return found.filter((tick) => scale.holds(tick.at));
}

/**
 * Put marks that would cover each other together; return groups with `x` and `marks`, the newest mark first.
 *
 * @param {number} near pixels between two single marks
 * @param {number} wide pixels that a group needs
 */
export function grouped(marks, scale, near, wide) {
    const groups = [];
    for (const mark of marks.filter((one) => scale.holds(one.at)).sort((a, b) => b.at - a.at)) {
        const x = scale.x(mark.at);
        const last = groups.at(-1);
        if (last && last.first - x < (last.marks.length > 1 ? wide : near)) {
            last.marks.push(mark);
            last.x = (last.first + x) / 2;
        } else {
            groups.push({ key: `${mark.kind}-${mark.id}`, first: x, x, marks: [mark] });
        }
    }
    return groups;
}

/** Return seconds in words, as exact as one wants to know. */
export function duration(seconds) {
    const whole = Math.max(0, Math.round(seconds));
    if (whole < 60) {
        return _t("%s s", whole);
    }
    if (whole < 3600) {
        const [minutes, rest] = [Math.floor(whole / 60), whole % 60];
        return minutes < 10 && rest ? _t("%(minutes)s min %(rest)s s", { minutes, rest }) : _t("%s min", Math.round(whole / 60));
    }
    if (whole < 86400) {
        const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
        return minutes ? _t("%(hours)s h %(minutes)s min", { hours, minutes }) : _t("%s h", hours);
    }
    const [days, hours] = [Math.floor(whole / 86400), Math.floor((whole % 86400) / 3600)];
    const inDays = days === 1 ? _t("1 day") : _t("%s days", days);
    return hours && days < 7 ? _t("%(days)s %(hours)s h", { days: inDays, hours }) : inDays;
}

/** Return seconds as one tells an estimate: to five seconds, or to the minute. */
export function about(seconds) {
    if (seconds >= 600) {
        return duration(Math.round(seconds / 60) * 60);
    }
    return duration(seconds >= 20 ? Math.round(seconds / 5) * 5 : Math.max(1, seconds));
}

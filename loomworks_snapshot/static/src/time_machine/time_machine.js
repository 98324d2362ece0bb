import { Component, onMounted, onWillStart, onWillUnmount, useState } from "@odoo/owl";
import { DateTimeInput } from "@web/core/datetime/datetime_input";
import { deserializeDateTime, serializeDateTime } from "@web/core/l10n/dates";
import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";
import { KeepLast } from "@web/core/utils/concurrency";
import { useService } from "@web/core/utils/hooks";
import { useDebounced } from "@web/core/utils/timing";
import { Layout } from "@web/search/layout";
import { standardActionServiceProps } from "@web/webclient/actions/action_service";
import { TimeMachineChart } from "./chart";
import { RestoreDialog } from "./restore_dialog";
import { DAY, MINUTE, SECOND, ZOOMS, about, duration, zoomed } from "./scale";

const { DateTime } = luxon;

const MODEL = "loomworks.tenant";
const REFRESH = 1000; // milliseconds between two looks at a restore that is going on
const IDLE_REFRESH = 15000; // milliseconds between two looks at everything else
const SETTLE = 250; // milliseconds after which a moved window is loaded
const AHEAD = 0.05; // of the window lies after now at first
const LOOKS = {
    snapshot: { ready: "success", restoring: "success", creating: "warning", failed: "danger" },
    operation: { failed: "muted", rolled_back: "hollow", partially_rolled_back: "hollow", restore_only: "warning" },
    restore: { done: "primary", gone_back: "hollow", failed: "danger", cancelled: "muted" },
};
const BACKUP_TYPES = { full: _t("Full"), diff: _t("Differential"), incr: _t("Incremental") };
const SNAPSHOT_TYPES = { auto: _t("automatic"), manual: _t("by hand"), pre_ai: _t("before an AI operation") };
const KIND_VERBS = { create: _t("create"), write: _t("write"), unlink: _t("delete"), undo: _t("undo"), redo: _t("redo") };

const COUNTED = 10000; // operations; of more it is only known that they are
const JOURNAL = 100; // operations listed below the time line
const OPERATION_STATES = {
    pending: _t("Under way"),
    done: _t("Done"),
    failed: _t("Failed"),
    rolled_back: _t("Undone"),
    partially_rolled_back: _t("Partly undone"),
    restore_only: _t("Restore only"),
};
const BADGES = { done: "text-bg-success", failed: "text-bg-danger", restore_only: "text-bg-warning", pending: "text-bg-info" };

const millis = (text) => (text ? deserializeDateTime(text).toMillis() : false);
const utc = (moment) => serializeDateTime(DateTime.fromMillis(moment));
const spans = (found) => found.map(({ since, until }) => ({ since: millis(since), until: millis(until) }));

/** One tenant's past: what happened, to what it can be brought back, and the way there. */
export class TimeMachine extends Component {
    static template = "loomworks_snapshot.TimeMachine";
    static components = { DateTimeInput, Layout, TimeMachineChart };
    static props = { ...standardActionServiceProps };
    static path = "time-machine";
    static displayName = _t("Time machine");

    setup() {
        this.orm = useService("orm");
        this.action = useService("action");
        this.dialog = useService("dialog");
        this.zooms = ZOOMS;
        this.loading = new KeepLast();
        this.saying = new KeepLast();
        this.loadSoon = useDebounced(() => this.load(), SETTLE);
        this.state = useState({ window: null, data: null, picked: false, said: null, progress: false });
        const { active_id, operation_id, moment } = this.props.action.context;
        this.tenantId = active_id;
        onWillStart(async () => {
            if (!this.tenantId) {
                return;
            }
            this.showSpan(DAY, millis(moment) || Date.now());
            await this.load();
            if (operation_id) {
                this.pick({ kind: "operation", id: operation_id, at: millis(moment) });
            }
        });
        this.timer = null;
        onMounted(() => this.tick());
        onWillUnmount(() => clearTimeout(this.timer));
    }

    // --- what is shown ---

    get data() {
        return this.state.data;
    }
    get now() {
        return Math.max(this.data.nowAt, Date.now() + this.data.ahead);
    }
    get display() {
        return { controlPanel: {} };
    }
    get tenant() {
        return this.data.tenant;
    }
    get zoom() {
        const span = this.state.window.until - this.state.window.since;
        return ZOOMS.find((zoom) => Math.abs(zoom.span / span - 1) < 0.02)?.name;
    }
    get windowText() {
        const [since, until] = [this.state.window.since, this.state.window.until].map((at) => DateTime.fromMillis(at));
        const span = until.diff(since).toMillis();
        const format = span > 3 * DAY ? "d LLL yyyy" : span > 10 * MINUTE ? "d LLL yyyy HH:mm" : "d LLL yyyy HH:mm:ss";
        return `${since.toFormat(format)} – ${until.toFormat(format)}`;
    }
    get zone() {
        return DateTime.now().toFormat("ZZZZ");
    }
    get restorable() {
        // The last one goes on as long as nobody says otherwise.
        return this.data.restorable.map((span) => (span.until >= this.data.nowAt ? { ...span, until: this.now } : span));
    }
    get listedSince() {
        const { complete, lanes } = this.data;
        return complete ? false : Math.min(...lanes.find((lane) => lane.name === "operations").marks.map((mark) => mark.at));
    }
    get sentences() {
        const [first] = this.data.restorable;
        if (!first) {
            return _t("Nothing can be restored yet: a base backup of the server comes first.");
        }
        const since = DateTime.fromMillis(first.since).toFormat("d LLL yyyy HH:mm");
        const holes = this.data.gaps.length ? " " + _t("Hatched spans cannot: WAL is missing there.") : "";
        return _t("Any moment since %s can be restored.", since) + holes;
    }

    /** The operations of the window, as the list below the time line shows them. */
    get journal() {
        const { since, until } = this.state.window;
        const found = this.data.operations.filter(({ at }) => at >= since && at <= until);
        return { rows: found.slice(0, JOURNAL), more: Math.max(0, found.length - JOURNAL), complete: this.data.complete };
    }

    // --- the picked moment ---

    get pickedAt() {
        return DateTime.fromMillis(this.state.picked.at);
    }
    get pickedText() {
        return this.pickedAt.toFormat("d LLL yyyy HH:mm:ss");
    }
    get ago() {
        const seconds = (this.now - this.state.picked.at) / SECOND;
        return seconds < 1 ? _t("now") : _t("%s ago", duration(seconds));
    }
    get what() {
        const { operation, snapshot } = this.state.said || {};
        if (operation) {
            return _t("Just before operation %s", operation.number);
        }
        return snapshot ? _t("Snapshot “%s”", snapshot.name) : _t("A moment");
    }
    get operationText() {
        const { operation } = this.state.said;
        return operation ? this.labelOf.operation(operation) : "";
    }
    get about() {
        const { low, high } = this.state.said.estimate;
        const [from, to] = [about(low), about(high)];
        return from === to ? from : _t("%(from)s to %(to)s", { from, to });
    }
    get aboutBasis() {
        const { measured } = this.state.said.estimate;
        if (!measured) {
            return _t("A guess: nothing has been restored on this server yet.");
        }
        return measured === 1
            ? _t("From one restore measured on this server.")
            : _t("From %s restores and drills measured on this server.", measured);
    }
    get lost() {
        const { seconds, operations } = this.state.said.lost;
        const span = duration(seconds);
        if (operations === null || !operations) {
            return _t("What was entered in the last %s will not be in the restored tenant.", span);
        }
        const count = operations >= COUNTED ? _t("more than %s", COUNTED) : operations;
        return _t(
            "What was entered in the last %(span)s will not be in the restored tenant, %(count)s operation(s) of agents among it.",
            { span, count }
        );
    }
    get restoreLabel() {
        const { operation, snapshot } = this.state.said;
        if (operation) {
            return _t("Restore to just before this operation");
        }
        return snapshot ? _t("Restore this snapshot") : _t("Restore to this moment");
    }
    get mayRestore() {
        return this.tenant.may_restore && this.state.said?.restorable && !this.state.progress?.running;
    }

    // --- loading ---

    /** Show `span` milliseconds, with `at` near the end. */
    showSpan(span, at) {
        const until = at + span * AHEAD;
        this.state.window = { since: until - span, until };
    }

    async load({ silent = false } = {}) {
        const { since, until } = this.state.window;
        const more = until - since;
        const range = { since: since - more, until: until + more };
        const orm = silent ? this.orm.silent : this.orm;
        const call = orm.call(MODEL, "time_machine", [this.tenantId], { since: utc(range.since), until: utc(range.until) });
        const data = await this.loading.add(call);
        const nowAt = millis(data.now);
        this.state.progress = data.progress;
        this.state.data = {
            ...data,
            range,
            nowAt,
            ahead: nowAt - Date.now(),
            restorable: spans(data.restorable),
            gaps: spans(data.gaps),
            lanes: this.lanesOf(data),
            operations: data.operations.map((one) => this.journalRow(one)),
        };
    }

    journalRow(one) {
        const at = millis(one.at);
        return {
            key: one.number,
            at,
            time: DateTime.fromMillis(at).toFormat("d LLL HH:mm:ss"),
            agent: one.agent || one.user,
            what: KIND_VERBS[one.kind] || one.method || one.kind,
            model: one.model,
            changes: one.changes,
            state: OPERATION_STATES[one.state] || one.state,
            badge: BADGES[one.state] || "text-bg-secondary",
            mark: { kind: "operation", id: one.number, at },
        };
    }

    lanesOf(data) {
        const marks = (kind, found, more = () => ({})) =>
            found.map((one) => ({
                kind,
                id: one.id ?? one.number,
                at: millis(one.at),
                label: `${DateTime.fromMillis(millis(one.at)).toFormat("d LLL HH:mm:ss")} – ${this.labelOf[kind](one)}`,
                look: LOOKS[kind]?.[one.state] || "primary",
                ...more(one),
            }));
        const back = (one) => ({ look: one.purpose !== "in_place" ? "drill" : LOOKS.restore[one.state] || "info", back: one.placed && millis(one.moment) });
        const backup = (one) => ({ look: one.usable ? "primary" : "danger" });
        return [
            { name: "backups", title: _t("Base backups"), marks: marks("backup", data.backups, backup) },
            { name: "snapshots", title: _t("Snapshots"), marks: marks("snapshot", data.snapshots) },
            { name: "operations", title: _t("Agents' operations"), marks: marks("operation", data.operations) },
            { name: "restores", title: _t("Restores"), marks: marks("restore", data.restores, back) },
        ];
    }

    labelOf = {
        backup: (one) => _t("%(type)s base backup, took %(time)s", { type: BACKUP_TYPES[one.type], time: duration(one.seconds) }),
        snapshot: (one) => _t("Snapshot “%(name)s”, %(type)s: %(state)s", { name: one.name, type: SNAPSHOT_TYPES[one.type], state: one.state }),
        operation: (one) => {
            const verb = KIND_VERBS[one.kind] || one.method || one.kind;
            const values = { number: one.number, agent: one.agent || one.user, what: `${verb} ${one.model}`.trim(), rows: one.changes };
            return _t("#%(number)s by %(agent)s: %(what)s, %(rows)s rows", values);
        },
        restore: (one) => {
            const to = DateTime.fromMillis(millis(one.moment)).toFormat("d LLL HH:mm:ss");
            const values = { to, state: one.state_text.toLowerCase() };
            if (one.purpose === "copy") {
                return _t("Copy as of %(to)s: %(state)s", values);
            }
            return one.purpose === "drill" ? _t("Drill to %(to)s: %(state)s", values) : _t("Restore to %(to)s: %(state)s", values);
        },
    };

    /** Look again and again; one look never waits for another, which a newer one may have replaced. */
    tick() {
        const running = this.state.progress?.running;
        this.timer = setTimeout(
            () => {
                this.tick();
                if (document.visibilityState === "visible" && this.tenantId) {
                    this.look(running).catch(() => {}); // the next look may fare better; what is shown stays
                }
            },
            running ? REFRESH : IDLE_REFRESH
        );
    }

    async look(running) {
        if (!running) {
            return this.load({ silent: true });
        }
        const progress = await this.orm.silent.call(MODEL, "time_machine_progress", [this.tenantId]);
        this.state.progress = progress;
        if (!progress?.running) {
            this.load({ silent: true });
            this.forgetOperation();
            this.say();
        }
    }

    /** The tenant has another database now: what was an operation's number is nobody's, or another one's. */
    forgetOperation() {
        if (this.state.picked.kind === "operation") {
            this.state.picked = { kind: "moment", id: false, at: this.state.picked.at };
        }
    }

    // --- what people do ---

    setWindow({ since, until }) {
        const span = until - since;
        const ahead = Math.max(0, until - this.now - span * AHEAD); // there is nothing to see in the future
        const window = { since: since - ahead, until: until - ahead };
        this.state.window = window;
        const { range, complete } = this.data;
        const outside = window.since < range.since || window.until > range.until;
        if (outside || (!complete && range.until - range.since > 6 * span)) {
            this.loadSoon();
        }
    }

    setZoom(zoom) {
        const { window, picked } = this.state;
        const holds = (at) => at >= window.since && at <= window.until;
        const anchor = picked && holds(picked.at) ? picked.at : holds(this.now) ? this.now : (window.since + window.until) / 2;
        this.setWindow(zoomed(window, zoom.span / (window.until - window.since), anchor));
    }

    zoomBy(factor) {
        const { window, picked } = this.state;
        this.setWindow(zoomed(window, factor, picked ? picked.at : (window.since + window.until) / 2));
    }

    move(share) {
        const { since, until } = this.state.window;
        const moved = share * (until - since);
        this.setWindow({ since: since + moved, until: until + moved });
    }

    showNow() {
        const span = this.state.window.until - this.state.window.since;
        this.setWindow({ since: this.now + span, until: this.now + 2 * span });
    }

    async pick(mark) {
        this.state.picked = mark;
        const { since, until } = this.state.window;
        if (mark.at < since || mark.at > until) {
            const half = (until - since) / 2;
            this.setWindow({ since: mark.at - half, until: mark.at + half });
        }
        this.state.said = null;
        await this.say();
    }

    pickTyped(value) {
        if (value) {
            this.pick({ kind: "moment", id: false, at: value.toMillis() });
        }
    }

    async say() {
        const { picked } = this.state;
        if (!picked) {
            return;
        }
        const by = { operation: "operation_id", snapshot: "snapshot_id" }[picked.kind];
        const which = by ? { [by]: picked.id } : { moment: utc(picked.at) };
        this.state.said = await this.saying.add(this.orm.call(MODEL, "time_machine_at", [this.tenantId], which));
    }

    askRestore() {
        const { operation, snapshot } = this.state.said;
        const moment = operation ? _t("just before operation %(number)s, %(at)s", { number: operation.number, at: this.pickedText }) : this.pickedText;
        this.dialog.add(RestoreDialog, {
            name: this.tenant.name,
            title: this.restoreLabel,
            where: snapshot ? _t("snapshot “%(name)s”, %(at)s", { name: snapshot.name, at: this.pickedText }) : moment,
            about: this.about,
            lost: this.lost,
            held: this.state.said.held,
            confirm: () => this.restore(),
        });
    }

    async restore() {
        const { operation, snapshot, moment } = this.state.said;
        if (operation) {
            await this.orm.call(MODEL, "restore_before_operation", [[this.tenantId], operation.number]);
        } else if (snapshot) {
            await this.orm.call("loomworks.snapshot", "action_restore", [[snapshot.id]]);
        } else {
            await this.orm.call(MODEL, "restore_to", [[this.tenantId], moment]);
        }
        await this.follow();
    }

    /** Ask how a copy of the picked moment is to be called. */
    askCopy() {
        const { snapshot, moment } = this.state.said;
        const context = snapshot ? { default_snapshot_id: snapshot.id } : { default_tenant_id: this.tenantId, default_moment: moment };
        const name = _t("Copy of %(tenant)s as of %(at)s", { tenant: this.tenant.name, at: this.pickedText });
        const views = [[false, "form"]];
        this.action.doAction({ type: "ir.actions.act_window", res_model: "loomworks.tenant.copy", name, views, target: "new", context });
    }

    /** Do something to the last restore: take it back, give it up, try it again. */
    async act(method) {
        await this.orm.call("loomworks.restore", method, [[this.state.progress.id]]);
        await this.follow();
    }

    /** Look at once, and then each second. */
    async follow() {
        this.state.progress = await this.orm.silent.call(MODEL, "time_machine_progress", [this.tenantId]);
        clearTimeout(this.timer);
        this.tick();
        this.load({ silent: true });
    }

    openRestore(id) {
        this.action.doAction({ type: "ir.actions.act_window", res_model: "loomworks.restore", res_id: id, views: [[false, "form"]] });
    }

    // --- a restore ---

    get progressTitle() {
        const { progress } = this.state;
        const at = DateTime.fromMillis(millis(progress.moment)).toFormat("d LLL yyyy HH:mm:ss");
        if (progress.state === "going_back") {
            return _t("Going back to what was before the restore to %s", at);
        }
        if (progress.state === "gone_back") {
            return _t("The restore to %s was taken back", at);
        }
        if (progress.state === "failed") {
            return _t("The restore to %s failed", at);
        }
        return progress.running ? _t("Restoring to %s", at) : _t("Restored to %s", at);
    }
    get progressIcon() {
        const { progress } = this.state;
        return progress.running ? "fa-circle-o-notch fa-spin" : progress.state === "failed" ? "fa-exclamation-circle text-danger" : "fa-check-circle text-success";
    }
    get keptText() {
        const until = DateTime.fromMillis(millis(this.state.progress.kept_until)).toFormat("d LLL yyyy HH:mm");
        return _t("What the tenant had before is kept until %s.", until);
    }
    get showsProgress() {
        const { progress } = this.state;
        const fresh = progress?.finished_at && this.now - millis(progress.finished_at) < DAY;
        return progress && (progress.running || progress.can_go_back || fresh);
    }
    stageIcon(stage) {
        return { done: "fa-check-circle", running: "fa-circle-o-notch fa-spin", failed: "fa-exclamation-circle" }[stage.state] || "fa-circle-o";
    }
    stageTime(stage) {
        if (stage.state === "running" && stage.share) {
            return `${Math.round(stage.share * 100)} %`;
        }
        return stage.seconds ? `${stage.seconds.toFixed(1)} s` : "";
    }
}

registry.category("actions").add("loomworks_time_machine", TimeMachine);

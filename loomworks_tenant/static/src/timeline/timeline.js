import { Component } from "@odoo/owl";
import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";
import { standardFieldProps } from "@web/views/fields/standard_field_props";

const ICONS = {
    pending: "fa-circle-o",
    running: "fa-circle-o-notch fa-spin",
    waiting: "fa-circle-o-notch fa-spin",
    failed: "fa-exclamation-circle",
    done: "fa-check-circle",
};

/** The steps of a tenant as a time line: state, cause, attempts and time of each. */
export class TimelineField extends Component {
    static template = "loomworks_tenant.Timeline";
    static props = { ...standardFieldProps };

    get steps() {
        return this.props.record.data[this.props.name].records.map(({ id, data }) => ({
            id,
            title: data.verb === "remove" ? _t("Take down: %s", data.title) : data.title,
            state: data.state,
            icon: ICONS[data.state],
            message: data.message || "",
            elapsed: data.elapsed || "",
            attempts: data.attempts,
            next: data.state !== "done" && data.next_at ? data.next_at.toFormat("HH:mm:ss") : "",
        }));
    }
}

registry.category("fields").add("loomworks_timeline", {
    component: TimelineField,
    displayName: _t("Time line of steps"),
    supportedTypes: ["one2many"],
    useSubView: true,
});

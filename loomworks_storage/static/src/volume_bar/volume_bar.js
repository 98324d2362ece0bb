import { Component } from "@odoo/owl";
import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";
import { standardFieldProps } from "@web/views/fields/standard_field_props";

const FULL_SOON = 90; // percent, as in loomworks_storage/volumes/policy.py
const NEARLY_FULL = 80;

/** How full a volume is, with what is used of what; “unknown” where nobody has measured it. */
export class VolumeBarField extends Component {
    static template = "loomworks_storage.VolumeBar";
    static props = { ...standardFieldProps, percentField: String, sizeField: String, readAtField: String };

    get data() {
        return this.props.record.data;
    }

    get isKnown() {
        return Boolean(this.data[this.props.readAtField]);
    }

    get percent() {
        return Math.round(this.data[this.props.percentField]);
    }

    get color() {
        if (this.percent >= FULL_SOON) {
            return "bg-danger";
        }
        return this.percent >= NEARLY_FULL ? "bg-warning" : "bg-success";
    }

    get text() {
        return _t("%(used)s of %(size)s", {
            used: this.data[this.props.name],
            size: this.data[this.props.sizeField],
        });
    }

    get title() {
        return _t("Read %s", this.data[this.props.readAtField].toRelative());
    }
}

registry.category("fields").add("loomworks_volume_bar", {
    component: VolumeBarField,
    displayName: _t("How full a volume is"),
    supportedTypes: ["char"],
    extractProps: ({ options }) => ({
        percentField: options.percent,
        sizeField: options.size,
        readAtField: options.read_at,
    }),
});

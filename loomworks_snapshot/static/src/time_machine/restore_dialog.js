import { Component, useState } from "@odoo/owl";
import { Dialog } from "@web/core/dialog/dialog";
import { useAutofocus } from "@web/core/utils/hooks";

/** Ask for the tenant's name before it is restored, and say once more what that means. */
export class RestoreDialog extends Component {
    static template = "loomworks_snapshot.RestoreDialog";
    static components = { Dialog };
    static props = {
        close: Function,
        name: String,
        title: String,
        where: String,
        about: String,
        lost: String,
        held: String,
        confirm: Function,
    };

    setup() {
        this.state = useState({ typed: "", busy: false });
        useAutofocus({ refName: "typed" });
    }

    get matches() {
        return this.state.typed.trim() === this.props.name;
    }

    async onSubmit() {
        if (!this.matches || this.state.busy) {
            return;
        }
        this.state.busy = true;
        try {
            await this.props.confirm();
            this.props.close();
        } finally {
            this.state.busy = false;
        }
    }
}

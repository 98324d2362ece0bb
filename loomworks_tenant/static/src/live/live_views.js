import { onMounted, onWillUnmount, useComponent } from "@odoo/owl";
import { registry } from "@web/core/registry";
import { FormController } from "@web/views/form/form_controller";
import { formView } from "@web/views/form/form_view";
import { KanbanController } from "@web/views/kanban/kanban_controller";
import { kanbanView } from "@web/views/kanban/kanban_view";
import { ListController } from "@web/views/list/list_controller";
import { listView } from "@web/views/list/list_view";

const REFRESH = 1000; // milliseconds between two looks while something is in progress
const IDLE_REFRESH = 10000; // milliseconds between two looks where nothing is: others change what is shown, too

/**
 * Reload what is shown, often while the reconciler works on it. A look that began before a change may come back after
 * it, and one may fail: there is always another one.
 *
 * @param {() => boolean} isWorking whether a shown record is in progress
 * @param {() => Promise<boolean>} mayReload whether a reload would lose nothing that a person typed
 * @param {() => Promise} reload
 */
function useLiveReload(isWorking, mayReload, reload) {
    const component = useComponent();
    let timer = null;
    let last = Date.now();
    const tick = async () => {
        const due = isWorking() ? REFRESH : IDLE_REFRESH;
        let next = IDLE_REFRESH;
        try {
            if (document.visibilityState === "visible" && Date.now() - last >= due && (await mayReload())) {
                last = Date.now();
                await reload();
            }
            next = REFRESH;
        } finally {
            if (component.__owl__.status < 3) {
                timer = setTimeout(tick, next);
            }
        }
    };
    onMounted(() => (timer = setTimeout(tick, REFRESH)));
    onWillUnmount(() => clearTimeout(timer));
}

export class TenantFormController extends FormController {
    setup() {
        super.setup();
        useLiveReload(
            () => this.model.root.data?.working,
            async () => !this.model.root.isNew && !(await this.model.root.isDirty()),
            () => this.model.root.load()
        );
    }
}

const shownRecords = (root) => (root.groups ? root.groups.flatMap((group) => group.list.records || []) : root.records);

export class TenantKanbanController extends KanbanController {
    setup() {
        super.setup();
        useLiveReload(
            () => shownRecords(this.model.root).some((record) => record.data.working),
            async () => true,
            () => this.model.load()
        );
    }
}

export class TenantListController extends ListController {
    setup() {
        super.setup();
        useLiveReload(
            () => shownRecords(this.model.root).some((record) => record.data.progress < 100),
            async () => !this.model.root.editedRecord && !this.model.root.selection.length,
            () => this.model.load()
        );
    }
}

export class LiveListController extends ListController {
    setup() {
        super.setup();
        useLiveReload(
            () => shownRecords(this.model.root).some((record) => record.data.working),
            async () => !this.model.root.selection.length,
            () => this.model.load()
        );
    }
}

const views = registry.category("views");
views.add("loomworks_tenant_form", { ...formView, Controller: TenantFormController });
views.add("loomworks_tenant_kanban", { ...kanbanView, Controller: TenantKanbanController });
views.add("loomworks_live_list", { ...listView, Controller: LiveListController });
views.add("loomworks_tenant_list", { ...listView, Controller: TenantListController });

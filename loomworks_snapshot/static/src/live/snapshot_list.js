import { registry } from "@web/core/registry";
import { ListController } from "@web/views/list/list_controller";
import { listView } from "@web/views/list/list_view";
import { IDLE_REFRESH, shownRecords, useLiveReload } from "@loomworks_tenant/live/live_views";

export class SnapshotListController extends ListController {
    setup() {
        super.setup();
        useLiveReload(
            () => shownRecords(this.model.root).some((record) => record.data.working),
            async () => !this.model.root.selection.length,
            () => this.model.load(),
            IDLE_REFRESH
        );
    }
}

registry.category("views").add("loomworks_snapshot_list", { ...listView, Controller: SnapshotListController });

-- kata: destructive

revoke all on
  kata_data.context, kata_data.head, kata_data.lineage, kata_data.tenant_role, kata_data.message, kata_data.token_count,
  kata_data.idempotency, kata_data.checkpoint, kata_data.merge_origin
from kata_eraser;
drop index kata_data.context_deleted;
drop table kata_data.erasure;
drop table kata_data.purge;

-- Shards: the buckets that are here, and names over all shards, where this database is one of several behind a proxy.
--
-- bucket_range has one row per range of buckets that this database holds, and none where it is the only one. kata.create_context draws
-- the bucket of a root from these ranges; where a context is not found, its bucket is
-- looked for in them, so that a proxy with a wrong map gets KC024.
-- While the database moves to another server its ranges are paused: writes that come through a proxy are refused, and wait there.
-- Members of kata_proxy write it. No function takes a lock of it.
--
-- name_claim has one row per name of a tenant whose hash is one of the buckets here: which context has it, on whatever shard. claim_name
-- inserts it or takes it over, keep_name confirms it, release_name deletes one that is new, as
-- forget_names does after a purge. A row may name a context that has the name no longer.

create table kata_data.bucket_range (
  buckets int4range not null,
  is_paused boolean not null default false,
  constraint bucket_range_known check (not isempty(buckets) and buckets <@ int4range(0, 4096)),
  constraint bucket_range_apart exclude using gist (buckets with &&)
);
comment on table kata_data.bucket_range is
'One row per range of buckets that this database holds; none where it is not one of several behind a proxy.';
comment on column kata_data.bucket_range.buckets is 'The buckets, 0 to 4095; no two ranges have one in common.';
comment on column kata_data.bucket_range.is_paused is
'Whether the database is about to move, and takes no writes through proxies; the same in all its rows.';
comment on index kata_data.bucket_range_apart is 'The ranges; it refuses one that overlaps another.';

create table kata_data.name_claim (
  tenant text,
  name text,
  context_id uuid not null,
  token text not null,
  claimed_at timestamptz not null,
  calls integer not null,
  is_new boolean not null,
  constraint name_claim_pkey primary key (tenant, name)
);
comment on table kata_data.name_claim is 'One row per name of a tenant that hashes to a bucket of this database.';
comment on column kata_data.name_claim.tenant is 'The tenant.';
comment on column kata_data.name_claim.name is 'The name of the context.';
comment on column kata_data.name_claim.context_id is 'The context that has the name, or is being made with it.';
comment on column kata_data.name_claim.token is 'A hash of the request that claimed it, by which its repetitions are known.';
comment on column kata_data.name_claim.claimed_at is 'The time of the last claim; a call has 20 seconds from then.';
comment on column kata_data.name_claim.calls is 'The number of calls that have claimed it and have not said how they ended.';
comment on column kata_data.name_claim.is_new is 'Whether one call alone has claimed it, and has not ended.';
create index name_claim_context on kata_data.name_claim (context_id);
comment on index kata_data.name_claim_context is 'The names of contexts that a purge removes.';

-- Statistics would keep names of contexts that a purge removes.
alter table kata_data.name_claim alter column name set statistics 0, alter column token set statistics 0;

grant select, insert, update, delete on kata_data.name_claim to kata_proxy;
grant select, insert, update, delete on kata_data.bucket_range to kata_proxy;
grant select on kata_data.bucket_range to kata_eraser;

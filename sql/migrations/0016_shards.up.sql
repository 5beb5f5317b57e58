-- Shards: the buckets that are here, where this database is one of several behind a proxy.
--
-- bucket_range has one row per range of buckets that this database holds, and none where it is the only one. kata.create_context draws
-- the bucket of a root from these ranges; where a context is not found, its bucket is
-- looked for in them, so that a proxy with a wrong map gets KC024.
-- Members of kata_proxy write it. No function takes a lock of it.

create table kata_data.bucket_range (
  buckets int4range not null,
  constraint bucket_range_known check (not isempty(buckets) and buckets <@ int4range(0, 4096)),
  constraint bucket_range_apart exclude using gist (buckets with &&)
);
comment on table kata_data.bucket_range is
'One row per range of buckets that this database holds; none where it is not one of several behind a proxy.';
comment on column kata_data.bucket_range.buckets is 'The buckets, 0 to 4095; no two ranges have one in common.';
comment on index kata_data.bucket_range_apart is 'The ranges; it refuses one that overlaps another.';

grant select, insert, delete on kata_data.bucket_range to kata_proxy;
grant select on kata_data.bucket_range to kata_eraser;

-- The buckets that are here. A proxy chooses the id of a new context, and with it the bucket, so that a retry of the same request meets the
-- first one; a caller of the database itself gets one of its buckets by chance.

create or replace function kata_data.new_bucket() returns integer
language plpgsql volatile
as $$
declare
  v_place integer;
  v_bucket integer;
begin
  v_place := floor(random() * (select sum(upper(r.buckets) - lower(r.buckets)) from kata_data.bucket_range r))::integer;
  v_bucket := (
    select upper(r.buckets) - r.through + v_place
    from (
      select b.buckets, sum(upper(b.buckets) - lower(b.buckets)) over (order by lower(b.buckets)) as through
      from kata_data.bucket_range b
    ) r
    where r.through > v_place
    order by r.through
    limit 1);
  return coalesce(v_bucket, floor(random() * 4096)::integer);
end
$$;
comment on function kata_data.new_bucket() is 'One of the buckets of this database, by chance.';

create or replace function kata_data.given_id() returns uuid
language sql stable
as $$
  select case when kata_data.is_entered() then nullif(current_setting('kata.new_id', true), '')::uuid end
$$;
comment on function kata_data.given_id() is 'The id that a proxy has chosen for a new context; null for none. All zeros: the name is taken on another shard.';

create or replace function kata_data.has_bucket(bucket integer) returns boolean
language sql stable
as $$
  select not exists (select from kata_data.bucket_range)
    or exists (select from kata_data.bucket_range r where r.buckets @> bucket)
$$;
comment on function kata_data.has_bucket(integer) is 'Whether a bucket is here; every bucket is where no ranges are set.';

create or replace function kata_data.check_bucket(bucket integer) returns void
language plpgsql stable
as $$
begin
  if bucket is null or kata_data.has_bucket(bucket) then
    return;
  end if;
  raise exception using
    errcode = 'KC024',
    message = format('bucket %s is on another shard', bucket),
    detail = format('This database has buckets %s.', (select range_agg(r.buckets) from kata_data.bucket_range r)),
    hint = 'Call the proxy; if it was the proxy that called, compare its map with the shards: kata shard list.';
end
$$;
comment on function kata_data.check_bucket(integer) is 'Refuses a bucket that is on another shard. KC024.';

create or replace function kata_data.verify_bucket(context_id uuid) returns setof kata_data.finding
language plpgsql stable rows 1
as $$
begin
  if kata_data.has_bucket(kata_data.bucket(context_id)) then
    return;
  end if;
  return query
  select null::bigint, 'foreign bucket',
    format('Its bucket is %s, which is on another shard: no proxy finds it here.', kata_data.bucket(verify_bucket.context_id));
end
$$;
comment on function kata_data.verify_bucket(uuid) is 'A finding where the bucket of a context is on another shard.';

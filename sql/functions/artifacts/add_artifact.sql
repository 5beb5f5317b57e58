-- A caller adds what the parser cannot know: a ticket in another system, a decision, a file that a tool touched without naming it. Such
-- artifacts have a table of their own, so that callers and the parser do not wait for each other.
--
-- Locks: the head, shared, so that a purge waits and leaves nothing behind, and appends do not wait; then the row that it writes.
-- plans: lookup

create or replace function kata.add_artifact(
  context_id uuid,
  kind text,
  ref text,
  detail jsonb default null,
  version bigint default null
) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_detail jsonb := nullif(detail, 'null');
  v_newest bigint;
  v_version bigint;
begin
  v_newest := (kata_data.share_context(context_id, 'write')).version;
  v_version := coalesce(version, v_newest);
  perform kata_data.check_version(context_id, v_version, v_newest);
  if coalesce(length(kind) not between 1 and 64 or ref = '' or octet_length(ref) > 2000, true)
    or jsonb_typeof(v_detail) <> 'object'
    or octet_length(v_detail::text) > 65536
    or not kata_data.json_fits(v_detail) then
    raise exception using
      errcode = 'KC017',
      message = 'artifact is out of range',
      detail = format('Its kind has %s characters, its ref %s bytes, and its detail is %s of %s bytes.',
        coalesce(length(kind), 0), coalesce(octet_length(ref), 0), coalesce(jsonb_typeof(v_detail), 'null'),
        coalesce(octet_length(v_detail::text), 0)),
      hint = 'Pass a kind of 1 to 64 characters, a ref of 1 to 2,000 bytes, and as detail an object of at most 64 kB, no more than 100 deep and '
        'without numbers beyond 1e308, or null.';
  end if;
  insert into kata_data.added_artifact as a (segment_id, kind, ref, version, detail)
  values (add_artifact.context_id, add_artifact.kind, add_artifact.ref, v_version, v_detail)
  on conflict on constraint added_artifact_pkey do update
  set detail = coalesce(a.detail || excluded.detail, excluded.detail, a.detail);
end
$$;
comment on function kata.add_artifact(uuid, text, text, jsonb, bigint) is
'Adds an artifact to the index of a context, or detail to one.

context_id: the context. A fork that reads messages of its own, that version among what it inherits, sees the artifact; its ancestors do not.
kind: any, of 1 to 64 characters; the parser uses tool_call, file, url and id. ref: the name of the artifact, 1 to 2,000 bytes.
detail: an object of at most 64 kB, shown over what the parser found. "access": "modified" of a file stays.
version: the version that it belongs to; null for the newest.

A second call for the same version counts once, and the details are merged.
Errors: KC001, KC002, KC006, KC017. Locks: the head of the context (FOR KEY SHARE), the row that it writes. Cost: O(1).';

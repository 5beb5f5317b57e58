-- The artifact index: the files, tools, URLs and identifiers that an agent needs to continue its work. It is derived from the raw log, so
-- that no compaction or elision changes it; what is rewound names nothing, and an amended message what its words in force name.
-- plans: artifacts

create or replace function kata.artifacts(
  context_id uuid,
  inout kind text default null,
  at bigint default null,
  out ref text,
  out detail jsonb,
  out first_version bigint,
  out last_version bigint,
  out mentions bigint
)
returns setof record
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off set jit = off
as $$
declare
  v_context record;
begin
  v_context := kata_data.open_context(context_id, at);
  return query
  select p.kind, p.ref, p.detail, p.first_version, p.last_version, p.mentions
  from kata_data.path_artifacts(
    artifacts.context_id, v_context.at, 1000,
    kata_data.view_of(artifacts.context_id, v_context.at, v_context.view_version), v_context.at) p
  where p.kind = coalesce(artifacts.kind, p.kind)
  order by p.kind collate "C", p.last_version desc, p.ref collate "C";
end
$$;
comment on function kata.artifacts(uuid, text, bigint) is
'The artifacts that the messages of a context name, compacted or not.

context_id: the context.
kind: tool_call, file, url, id, or one that a caller added; null for all.
at: as of this version; null for now.

Returns rows by kind, newest mention first: kind, ref (the tool''s name, the path, the URL, the identifier), detail, first_version and
last_version (that name it), mentions (calls of a tool; messages that name anything else; additions).
detail of a tool_call: arguments (of the last call, the first 200 characters). Of a file: access (the first of
modified, read, listed and mentioned that ever held: read by a call, a line of a result, or a word of a text), and of its last change
deleted, renamed_to, renamed_from. Of files in folders of dependencies (node_modules, .git) that are only listed or mentioned, the folder. Of an id: key (its name in JSON), where it has one. The detail that a
caller added comes over it.
Of one message at most 1,000 artifacts of a kind are kept. Messages are parsed when a compaction begins; of those not parsed yet, the
newest 1,000 are parsed by this call. Messages that are rewound name nothing; those that are amended, what the words in force name, under the version of the
amendment. URLs lose their credentials; keys and tokens that grant access are not listed.
Errors: KC001, KC002, KC006. Cost: O(log n) per artifact and ancestor, and the length of what is not parsed yet; after a rewind
or an amendment O(mentions).';

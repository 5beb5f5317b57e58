-- The chain of acts: changes of a context that take no version of its log. It has the form of the chain of entries: the digest of an act
-- covers that of the act before, its frame, which nothing removes, and the digest of its content, which an erasure or a purge removes.

create or replace function kata_data.add_act(
  context_id uuid, kind text, facts jsonb default '{}', content jsonb default null, acted_at timestamptz default null
) returns bigint
language plpgsql volatile
as $$
declare
  v_before kata_data.act;
  v_act kata_data.act;
begin
  v_before := (select a from kata_data.act a where a.context_id = add_act.context_id order by a.number desc limit 1);
  v_act.context_id := context_id;
  v_act.number := coalesce(v_before.number, 0) + 1;
  v_act.acted_at := coalesce(acted_at, kata_data.clock());
  v_act.kind := kind;
  v_act.acted_by := kata_data.caller();
  v_act.facts := jsonb_strip_nulls(facts);
  if content is not null then
    v_act.salt := kata_data.new_salt();
    v_act.content := content;
  end if;
  v_act.digest := kata_data.act_digest(coalesce(v_before.digest, kata_data.first_digest(context_id)), v_act);
  -- Under the head's lock only a transaction with an old snapshot can conflict here: it fails, as one to be tried again.
  insert into kata_data.act (context_id, number, acted_at, kind, acted_by, digest, facts, salt, content)
  values (v_act.context_id, v_act.number, v_act.acted_at, v_act.kind, v_act.acted_by, v_act.digest, v_act.facts, v_act.salt, v_act.content)
  on conflict on constraint act_pkey do nothing;
  return v_act.number;
end
$$;
comment on function kata_data.add_act(uuid, text, jsonb, jsonb, timestamptz) is
'Adds an act to the chain of a context whose head the caller has locked, and returns its number.

facts: what stays after an erasure or a purge. content: what goes; null for none. acted_at: the time of the change; null for now.';

create or replace function kata_data.first_content(context kata_data.context) returns jsonb
language sql immutable
as $$
  select nullif(
    jsonb_strip_nulls(jsonb_build_object('name', context.name, 'policy', nullif(context.policy, '{}'))), '{}')
$$;
comment on function kata_data.first_content(kata_data.context) is
'The content of the first act of a context: name and policy; null where it has neither.';

create or replace function kata_data.act_frame(act kata_data.act) returns text
language sql stable
as $$
  select format('1|act|%s|%s|%s|%s|%s', act.context_id, act.number, (extract(epoch from act.acted_at) * 1000000)::bigint, act.kind,
    act.facts || jsonb_build_object('by', act.acted_by))
$$;
comment on function kata_data.act_frame(kata_data.act) is 'What the digest of an act covers beside its content.';

create or replace function kata_data.act_content_digest(act kata_data.act) returns bytea
language sql stable
as $$
  select case when act.content is null then act.content_digest else kata_data.content_digest(act.salt, act.content::text) end
$$;
comment on function kata_data.act_content_digest(kata_data.act) is
'The digest of the content of an act, removed or not; null for an act that never had any.';

create or replace function kata_data.act_digest(previous bytea, act kata_data.act) returns bytea
language sql stable
as $$
  select kata_data.entry_digest(previous, kata_data.act_frame(act), coalesce(kata_data.act_content_digest(act), ''))
$$;
comment on function kata_data.act_digest(bytea, kata_data.act) is 'The digest of an act, given that of the act before.';

-- Rows without the numbers that mean something in this database only. A view change is named by the version that it takes: on
-- the path of a context it is the only one. Profiles and tools are named by their digests.

create or replace function kata_data.versions_of_changes(change_ids bigint[]) returns bigint[]
language plpgsql stable
as $$
begin
  return array(
    select c.version
    from unnest(change_ids) with ordinality i(change_id, place)
    join kata_data.view_change c on c.change_id = i.change_id
    order by i.place);
end
$$;
comment on function kata_data.versions_of_changes(bigint[]) is 'The versions of view changes, in their order.';

create or replace view kata_data.archived_change as
select c.segment_id, c.version, c.kind, c.created_at, c.digest, c.versions, c.undone_version, c.rewound_to, c.is_summarized, c.content_version,
  c.message_count, c.raw_tokens, c.view_tokens, c.preamble_end, c.oldest_open_group, c.turn_version, c.visible, c.deleted, c.rewound,
  c.pinned_groups, case when c.elisions = '{}' then c.elisions else kata_data.versions_of_changes(c.elisions) end as elisions, c.replacements, c.covers,
  case when c.amendments = '{}' then c.amendments else kata_data.versions_of_changes(c.amendments) end as amendments, c.amended_from,
  c.tools_version, c.tools_digest, c.tools_tokens, c.reworded
from kata_data.view_change c;
comment on view kata_data.archived_change is 'View changes as an archive has them: elisions and amendments are versions.';

create or replace view kata_data.archived_stub as
select c.segment_id as context_id, c.version as change_version, s.segment_id, s.group_version, s.version, a.version as amendment_version,
  s.saved_tokens, s.token_count, s.digest, s.salt, s.content
from kata_data.view_change c
join kata_data.stub s on s.change_id = c.change_id
left join kata_data.view_change a on a.change_id = s.amendment_id
where c.kind = 'elision';
comment on view kata_data.archived_stub is 'Stubs as an archive has them: with the context and the version of their elision.';

create or replace view kata_data.archived_amendment as
select c.segment_id as context_id, c.version as change_version, m.segment_id, m.group_version, m.version, b.version as base_version,
  m.saved_tokens, m.token_count, m.token_source, m.salt, m.content, m.name, m.metadata, m.tool_calls, m.parts, m.provider
from kata_data.view_change c
join kata_data.amendment m on m.change_id = c.change_id
left join kata_data.view_change b on b.change_id = m.base_change_id
where c.kind = 'amendment';
comment on view kata_data.archived_amendment is 'Amendments as an archive has them: with the context and the version of their change.';

create or replace view kata_data.archived_request as
select r.context_id, r.request_id, r.at, r.created_at, r.preamble_end, r.start_version, p.digest as profile_digest, r.answer_version, r.framed_from,
  r.bridge, r.recall_place, r.budget, r.stable_step, r.token_count, r.message_count, r.duration, r.input_tokens, r.cached_tokens, r.written_tokens,
  r.output_tokens, r.long_ttl, r.open_end, r.body_digest, r.salt, r.shown, r.hidden_thinking, r.recalled, r.error, r.turn_version
from kata_data.request r
join kata_data.request_profile p on p.profile_id = r.profile_id;
comment on view kata_data.archived_request is 'Requests as an archive has them: with the digest of their profile.';

create or replace view kata_data.archived_profile as
select distinct on (f.family_id, p.digest) f.family_id as context_id, p.renderer, p.created_at, p.format, p.system, p.thinking,
  p.tokenizer, p.model, p.cache, p.digest, p.prefix_digest, p.tools_digest, p.options
from kata_data.context f
cross join lateral kata_data.family_contexts(f.context_id) c
join kata_data.request r on r.context_id = c.context_id
join kata_data.request_profile p on p.profile_id = r.profile_id
where f.parent_id is null
order by f.family_id, p.digest, p.profile_id;
comment on view kata_data.archived_profile is 'The profiles of a family''s requests, as an archive has them: of its root, each digest once.';

create or replace view kata_data.archived_tool_list as
select distinct on (f.family_id, l.digest) f.family_id as context_id, l.digest, l.created_at, l.content
from kata_data.context f
cross join lateral (
  select p.tools_digest from kata_data.archived_profile p where p.context_id = f.context_id
  union
  select v.tools_digest
  from kata_data.family_contexts(f.context_id) c
  join kata_data.view_change v on v.segment_id = c.context_id and v.kind = 'tools'
) u
join kata_data.tool_list l on l.tenant = f.tenant and l.digest = u.tools_digest
where f.parent_id is null
order by f.family_id, l.digest, l.list_id;
comment on view kata_data.archived_tool_list is 'The lists of tools of a family, as an archive has them: of its root, each digest once.';

create or replace view kata_data.archived_key as
select c.context_id, i.key, i.function_name, i.salt, i.request, i.result, i.created_at
from kata_data.context c
join kata_data.idempotency i on i.scope = 'context:' || c.context_id;
comment on view kata_data.archived_key is 'Idempotency keys of contexts. A key of the tenant, by which a context was created, is not in an archive.';

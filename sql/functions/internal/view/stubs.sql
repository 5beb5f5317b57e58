-- Stubs: how a view shows a long tool result in short.

create or replace function kata_data.stub_tokens() returns bigint
language sql immutable
as $$
  select 100::bigint
$$;
comment on function kata_data.stub_tokens() is
'The tokens that a compaction leaves of a result; a result of this length is not shortened again.';

create or replace function kata_data.stubs_for(
  context_id uuid, view kata_data.view, head kata_data.head, versions int8multirange, keep_tokens integer
) returns kata_data.stub[]
language plpgsql volatile
as $$
declare
  v_pinned bigint[];
begin
  v_pinned := kata_data.pinned_groups_at(context_id, view, head.version);
  -- Against a concurrent erasure: either it waits and finds the stub, or the result is blank already.
  perform
  from (
    select p.segment_id, p.version
    from kata_data.path_messages(stubs_for.context_id, versions * kata_data.visible_at(view, head.version)) p
    where p.role = 'tool'
      and (p.token_count > keep_tokens or view.amendments <> '{}')
    offset 0
  ) p
  cross join lateral (
    select
    from kata_data.message m
    where m.segment_id = p.segment_id
      and m.version = p.version
    for key share
  ) m;
  perform kata_data.share_amendments(view.amendments, versions);
  return array(
    select row(
      m.segment_id, m.group_version, m.version, null, m.amendment_id, m.token_count - t.token_count, t.token_count,
      kata_data.content_digest(m.salt, t.content), m.salt, t.content)::kata_data.stub
    from (
      select m.segment_id, m.group_version, m.version, m.token_count, coalesce(s.token_count, a.token_count, m.token_count) as shown,
        case when a.change_id is null then m.content else a.content end as words, coalesce(a.token_count, m.token_count) as whole,
        a.change_id as amendment_id, kata_data.new_salt() as salt
      from kata_data.path_messages(stubs_for.context_id, versions * kata_data.visible_at(view, head.version)) m
      left join lateral kata_data.stub_of(m.segment_id, m.group_version, m.version, view.elisions, view.amendments) s on true
      left join lateral kata_data.amendment_of(m.segment_id, m.group_version, m.version, view.amendments) a on true
      where m.role = 'tool'
        and m.group_version <> all (v_pinned)
    ) m
    cross join lateral kata_data.stub_text(m.words, m.version, m.whole, keep_tokens, head.tokenizer) t
    where m.shown > keep_tokens
      and m.shown > t.token_count
    order by m.version);
end
$$;
comment on function kata_data.stubs_for(uuid, kata_data.view, kata_data.head, int8multirange, integer) is
'The stubs of tool results among some versions.

Only results in the view are shortened that are not pinned and longer than keep_tokens as they are shown.';

create or replace function kata_data.stub_text(
  original text, version bigint, original_tokens integer, keep_tokens integer, tokenizer text, out content text, out token_count integer
)
language plpgsql stable
as $$
declare
  -- A character is a token at most in most scripts; what is over the budget is cut in proportion, which needs few rounds.
  v_length integer := least(greatest(keep_tokens, 0)::bigint * 4, coalesce(length(original), 0));
begin
  loop
    content := format('[shortened, %s tokens; whole: version %s]', original_tokens, version)
      || case when v_length > 0 then E'\n' || left(original, v_length) || '…' else '' end;
    token_count := kata_data.message_tokens(content, null, null, tokenizer);
    exit when token_count <= keep_tokens or v_length = 0;
    v_length := least(v_length - 1, v_length::bigint * keep_tokens / token_count);
    if v_length < 16 then
      v_length := 0;
    end if;
  end loop;
end
$$;
comment on function kata_data.stub_text(text, bigint, integer, integer, text) is
'The beginning of a text, cut between characters, with a note of its version and length.

It has at most keep_tokens tokens, as far as the note allows.';

create or replace function kata_data.stub_of(
  segment_id uuid, group_version bigint, version bigint, elisions bigint[], amendments bigint[]
) returns setof kata_data.stub
language sql stable rows 1
as $$
  select s.*
  from kata_data.stub s
  where elisions <> '{}'
    and s.segment_id = stub_of.segment_id
    and s.group_version = stub_of.group_version
    and s.version = stub_of.version
    -- Not as an index condition: it would be looked up once for each elision.
    and s.change_id + 0 = any (elisions)
    and (amendments = '{}' or not exists (
      select from kata_data.amendment a
      where a.segment_id = stub_of.segment_id
        and a.group_version = stub_of.group_version
        and a.version = stub_of.version
        and a.change_id > s.change_id
        and a.change_id + 0 = any (amendments)))
  order by s.change_id desc
  limit 1
$$;
comment on function kata_data.stub_of(uuid, bigint, bigint, bigint[], bigint[]) is
'The stub of a message under some elisions and amendments, the last that shortens it.

No row where the message is shown whole, or amended since.';

create or replace function kata_data.elision_of(stubs kata_data.stub[]) returns kata_data.view_change
language sql volatile
as $$
  select kata_data.new_change('elision', (select range_agg(int8range(s.version, s.version + 1)) from unnest(stubs) s))
$$;
comment on function kata_data.elision_of(kata_data.stub[]) is 'The view change that puts stubs in force.';

create or replace function kata_data.stub_gain(context_id uuid, view kata_data.view, stubs kata_data.stub[]) returns bigint
language plpgsql stable
as $$
begin
  return kata_data.shown_tokens(
      context_id, (select range_agg(int8range(s.version, s.version + 1)) from unnest(stubs) s), view.elisions, view.amendments)
    - (select coalesce(sum(s.token_count), 0) from unnest(stubs) s);
end
$$;
comment on function kata_data.stub_gain(uuid, kata_data.view, kata_data.stub[]) is
'The tokens that stubs save in a view, in which some messages may be shortened already.';

-- Token counts of what a view shows, in the tokenizer of the context or in another one.

create or replace function kata_data.shown_tokens(
  context_id uuid,
  versions int8multirange,
  elisions bigint[],
  amendments bigint[],
  measure kata_data.measure default null
) returns bigint
language plpgsql stable
as $$
begin
  return (
    select coalesce(sum(case
      when measure.tokenizer is null then coalesce(s.token_count, a.token_count, m.token_count)
      else coalesce(
        kata_data.padded_tokens(coalesce(s.token_count, a.token_count), measure.factor),
        (select c.token_count
         from kata_data.token_count c
         where c.segment_id = m.segment_id
           and c.version = m.version
           and c.tokenizer = measure.tokenizer),
        kata_data.padded_tokens(m.token_count, measure.factor))
    end), 0)
    from kata_data.path_messages(shown_tokens.context_id, versions) m
    left join lateral kata_data.stub_of(m.segment_id, m.group_version, m.version, elisions, amendments) s on true
    left join lateral kata_data.amendment_of(m.segment_id, m.group_version, m.version, amendments) a on true);
end
$$;
comment on function kata_data.shown_tokens(uuid, int8multirange, bigint[], bigint[], kata_data.measure) is
'The tokens of messages as a view with these elisions and amendments shows them.

measure: null for the context''s own tokenizer. Cost: O(messages).';

create or replace function kata_data.saved_tokens(
  context_id uuid, group_version bigint, at bigint, elisions bigint[], amendments bigint[]
) returns bigint
language plpgsql stable
as $$
begin
  return (
    select coalesce(sum(s.saved_tokens), 0)
    from (
      select distinct on (s.version) s.saved_tokens
      from kata_data.segments(saved_tokens.context_id, saved_tokens.group_version, at) g
      cross join lateral (
        select s.version, s.change_id, s.saved_tokens
        from kata_data.stub s
        where s.segment_id = g.segment_id
          and s.group_version = saved_tokens.group_version
          and s.version between g.first_version and g.last_version
          and s.change_id + 0 = any (elisions)
        union all
        select a.version, a.change_id, a.saved_tokens
        from kata_data.amendment a
        where amendments <> '{}'
          and a.segment_id = g.segment_id
          and a.group_version = saved_tokens.group_version
          and a.version between g.first_version and g.last_version
          and a.change_id + 0 = any (amendments)
        offset 0
      ) s
      order by s.version, s.change_id desc
    ) s);
end
$$;
comment on function kata_data.saved_tokens(uuid, bigint, bigint, bigint[], bigint[]) is
'The tokens that these elisions and amendments save in a group, as of a version; negative where amendments are longer.';

create or replace function kata_data.group_tokens_in(
  context_id uuid, group_version bigint, at bigint, elisions bigint[], amendments bigint[], measure kata_data.measure, rewound int8multirange
) returns bigint
language plpgsql stable
as $$
begin
  if elisions <> '{}' or amendments <> '{}' then
    return kata_data.shown_tokens(
      context_id, kata_data.group_members(context_id, array[group_version], at, rewound), elisions, amendments, measure);
  end if;
  return (
    select sum(coalesce(c.token_count, kata_data.padded_tokens(m.token_count, measure.factor)))
    from kata_data.segments(group_tokens_in.context_id, group_tokens_in.group_version, at) s
    cross join lateral (
      select m.version, m.token_count
      from kata_data.message m
      where m.segment_id = s.segment_id
        and m.group_version = group_tokens_in.group_version
        and m.version between s.first_version and s.last_version
        and (m.tool_calls is not null or m.tool_call_id is not null)
        and not rewound @> m.version
      offset 0
    ) m
    left join lateral (
      select c.token_count
      from kata_data.token_count c
      where c.segment_id = s.segment_id
        and c.version = m.version
        and c.tokenizer = measure.tokenizer
      offset 0
    ) c on true);
end
$$;
comment on function kata_data.group_tokens_in(uuid, bigint, bigint, bigint[], bigint[], kata_data.measure, int8multirange) is
'The tokens of a tool group in another tokenizer, as of a version.

rewound: of the view. Cost: O(members).';

create or replace function kata_data.summary_tokens_in(
  summary kata_data.summary, amendments bigint[], measure kata_data.measure
) returns integer
language plpgsql stable
as $$
begin
  if measure.tokenizer is null then
    return summary.token_count;
  end if;
  return coalesce(
    (select c.token_count
     from kata_data.token_count c
     where c.segment_id = summary.segment_id
       and c.version = summary.version
       and c.tokenizer = measure.tokenizer
       and not exists (select from kata_data.amendment_of(summary.segment_id, summary.version, summary.version, amendments) a)),
    kata_data.padded_tokens(summary.token_count, measure.factor));
end
$$;
comment on function kata_data.summary_tokens_in(kata_data.summary, bigint[], kata_data.measure) is
'The tokens of a summary in the words in force under some amendments. measure: null for the context''s own tokenizer.';

create or replace function kata_data.padded_tokens(token_count bigint, factor double precision) returns integer
language sql immutable
as $$
  -- least would pass over null.
  select case when token_count is not null then least(ceil(token_count * factor), 2147483647)::integer end
$$;
comment on function kata_data.padded_tokens(bigint, double precision) is 'A count in another tokenizer than the one that it was made in.';

create or replace function kata_data.measure_in(own text, other text) returns kata_data.measure
language plpgsql stable
as $$
declare
  v_measure kata_data.measure;
begin
  select t.name, o.bytes_per_token / t.bytes_per_token * (1 + t.margin) into v_measure.tokenizer, v_measure.factor
  from kata_data.tokenizer o, kata_data.tokenizer t
  where o.name = own and t.name = kata_data.tokenizer_of(other);
  if not found then
    perform kata_data.refuse_tokenizer(other);
  end if;
  return v_measure;
end
$$;
comment on function kata_data.measure_in(text, text) is
'How to count in another tokenizer than a context''s own, the factor padded by its margin. KC017.';

create or replace function kata_data.measure_of(own text, asked text) returns kata_data.measure
language plpgsql stable
as $$
begin
  return case when kata_data.tokenizer_of(asked) is distinct from own then kata_data.measure_in(own, asked) end;
end
$$;
comment on function kata_data.measure_of(text, text) is
'How to count in the tokenizer that a caller asks for, which may be the name of a model; null where that is the context''s own. KC017.';

create or replace function kata_data.refuse_tokenizer(name text) returns void
language plpgsql stable
as $$
begin
  raise exception using
    errcode = 'KC017',
    message = format('tokenizer "%s" is unknown', left(name, 100)),
    detail = 'Its ratio to other tokenizers is not registered.',
    hint = 'Register it with kata.register_tokenizer; kata.tokenizers lists the known ones.';
end
$$;
comment on function kata_data.refuse_tokenizer(text) is 'Refuses a name that is not of a registered tokenizer, nor of a model of one. KC017.';

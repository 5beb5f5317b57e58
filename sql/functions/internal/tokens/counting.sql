-- Token counts of what a view shows, in the tokenizer of the context or in another one.

create or replace function kata_data.shown_tokens(
  context_id uuid,
  versions int8multirange,
  elisions bigint[],
  measure kata_data.measure default null
) returns bigint
language plpgsql stable
as $$
begin
  return (
    select coalesce(sum(kata_data.tokens_in(m.segment_id, m.version, m.token_count, s.token_count, measure)), 0)
    from kata_data.path_messages(shown_tokens.context_id, versions) m
    left join lateral kata_data.stub_of(m.segment_id, m.group_version, m.version, elisions) s on true);
end
$$;
comment on function kata_data.shown_tokens(uuid, int8multirange, bigint[], kata_data.measure) is
'The tokens of messages as a view with these elisions shows them.

measure: null for the context''s own tokenizer. Cost: O(messages).';

create or replace function kata_data.saved_tokens(context_id uuid, group_version bigint, at bigint, elisions bigint[]) returns bigint
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
        offset 0
      ) s
      order by s.version, s.change_id desc
    ) s);
end
$$;
comment on function kata_data.saved_tokens(uuid, bigint, bigint, bigint[]) is 'What these elisions save in a group, as of a version.';

create or replace function kata_data.tokens_in(
  segment_id uuid, version bigint, token_count integer, stub_tokens integer, measure kata_data.measure
) returns integer
language sql stable
as $$
  select case
    when measure.tokenizer is null then coalesce(stub_tokens, token_count)
    when stub_tokens is not null then least(ceil(stub_tokens * measure.factor), 2147483647)::integer
    else kata_data.converted_tokens(segment_id, version, token_count, measure)
  end
$$;
comment on function kata_data.tokens_in(uuid, bigint, integer, integer, kata_data.measure) is
'The tokens of a message or a summary, or of the stub that shortens a message.

measure: null for the context''s own tokenizer.';

create or replace function kata_data.converted_tokens(segment_id uuid, version bigint, token_count integer, measure kata_data.measure)
returns integer
language sql stable
as $$
  select coalesce(
    (select c.token_count
     from kata_data.token_count c
     where c.segment_id = converted_tokens.segment_id
       and c.version = converted_tokens.version
       and c.tokenizer = measure.tokenizer),
    least(ceil(token_count * measure.factor), 2147483647)::integer)
$$;
comment on function kata_data.converted_tokens(uuid, bigint, integer, kata_data.measure) is
'The tokens of a message or a summary in another tokenizer.

The stored count, or else its own count times the factor.';

create or replace function kata_data.measure_in(own text, other text) returns kata_data.measure
language plpgsql stable
as $$
declare
  v_measure kata_data.measure;
begin
  select t.name, o.bytes_per_token / t.bytes_per_token * (1 + t.margin) into v_measure.tokenizer, v_measure.factor
  from kata_data.tokenizer o, kata_data.tokenizer t
  where o.name = own and t.name = other;
  if not found then
    raise exception using
      errcode = 'KC017',
      message = format('tokenizer "%s" is unknown', left(other, 100)),
      detail = 'Its ratio to other tokenizers is not registered.',
      hint = 'Register it with kata.register_tokenizer; kata.tokenizers lists the known ones.';
  end if;
  return v_measure;
end
$$;
comment on function kata_data.measure_in(text, text) is
'How to count in another tokenizer than a context''s own, the factor padded by its margin. KC017.';

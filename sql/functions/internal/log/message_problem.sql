-- The problems of a message, in two steps: draft_problem checks the keys and types of JSON, message_problem whether the values make
-- sense together. The checks come in the order in which a person would look. JSON paths are strict: lax ones look through arrays.

create or replace function kata_data.draft_keys() returns text[]
language sql immutable
as $$
  select '{role,content,token_count,token_source,tool_call_id,tool_name,tool_calls,model,metadata,pinned,name,parts,provider,external_id,occurred_at}'::text[]
$$;
comment on function kata_data.draft_keys() is 'The keys that a message may have.';

create or replace function kata_data.draft_problem(draft jsonb) returns text
language sql stable
as $$
  select case
    when jsonb_typeof(draft) <> 'object'
      then format('It is %s, not an object.', jsonb_typeof(draft))
    when draft - kata_data.draft_keys() <> '{}'
      then format('Its key %s is unknown.', left(jsonb_path_query_first(draft - kata_data.draft_keys(), '$.keyvalue().key')::text, 100))
    when jsonb_typeof(draft -> 'content') not in ('string', 'null')
      then format('Its content is %s; content is a string, and parts hold other media.', jsonb_typeof(draft -> 'content'))
    when jsonb_path_exists(draft, 'strict $.keyvalue() ? (
        @.key == "role" || @.key == "tool_call_id" || @.key == "tool_name" || @.key == "model" || @.key == "name" || @.key == "token_source"
        || @.key == "external_id" || @.key == "occurred_at"
      ).value ? (@.type() != "string" && @.type() != "null")')
      then 'Its role, tool_call_id, tool_name, model, name, token_source, external_id and occurred_at must be strings.'
    when jsonb_typeof(draft -> 'pinned') not in ('boolean', 'null')
      then 'Its pinned must be true or false.'
    when not case jsonb_typeof(draft -> 'token_count')
        when 'number' then draft ->> 'token_count' !~ '[.]' and (draft -> 'token_count')::numeric between 0 and 2147483647
        else draft ->> 'token_count' is null
      end
      then format('Its token_count is %s, not an integer from 0 to 2147483647.', left(draft ->> 'token_count', 100))
    when length(draft ->> 'external_id') not between 1 and 255
      then format('Its external_id has %s characters, not 1 to 255.', length(draft ->> 'external_id'))
    when not kata_data.is_moment(draft ->> 'occurred_at')
      then format('Its occurred_at is "%s", not a moment with an offset, for example "2026-01-31T12:00:00Z".',
        left(draft ->> 'occurred_at', 100))
  end
$$;
comment on function kata_data.draft_problem(jsonb) is
'A sentence on what is wrong with the keys and types of a message as a caller gave it; null if nothing is.';

create or replace function kata_data.is_moment(moment text) returns boolean
language sql stable
as $$
  -- The form first: 'now', 'infinity' and texts that DateStyle or TimeZone would decide are valid input, too.
  select case
    when moment ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)$' collate "C"
        and pg_input_is_valid(moment, 'timestamptz')
      -- In UTC, as a copy of the message writes it.
      then moment::timestamptz >= '0001-01-01 00:00:00+00' and moment::timestamptz < '10000-01-01 00:00:00+00'
    when moment is not null then false
  end
$$;
comment on function kata_data.is_moment(text) is
'Whether a text is a moment of the years 1 to 9999 UTC in the form of ISO 8601, with an offset: it means the same in every session. Null of null.';

create or replace function kata_data.is_usual_draft(draft jsonb) returns boolean
language sql stable
as $$
  select case when jsonb_typeof(draft) = 'object' then
    draft - '{role,content,token_count,token_source,tool_call_id,tool_calls,tool_name,name,model,pinned}'::text[] = '{}'
    -- Numbers sort between strings and booleans.
    and draft -> 'token_count' >= '0' and draft -> 'token_count' <= '2147483647' and scale((draft -> 'token_count')::numeric) = 0
    and coalesce(draft -> 'token_source' <@ '["exact", "given"]', true)
    and coalesce(jsonb_typeof(draft -> 'name') = 'string', true)
    and coalesce(jsonb_typeof(draft -> 'model') = 'string', true)
    and coalesce(jsonb_typeof(draft -> 'pinned') = 'boolean', true)
    and coalesce(jsonb_typeof(draft -> 'tool_name') = 'string', true)
    and octet_length(draft ->> 'content') <= 16777216 is not false
    -- No name or id of it is longer than all of it.
    and (pg_column_size(draft) <= 65536 or pg_column_size(draft - '{content,tool_calls}'::text[]) <= 65536)
    and case
      when draft ? 'tool_calls' then draft -> 'role' = '"assistant"' and not draft ? 'tool_call_id'
        and coalesce(jsonb_typeof(draft -> 'content') in ('string', 'null'), true)
        and kata_data.is_single_function_call(draft -> 'tool_calls')
      when draft ? 'tool_call_id' then draft -> 'role' = '"tool"' and jsonb_typeof(draft -> 'content') = 'string'
        and jsonb_typeof(draft -> 'tool_call_id') = 'string' and draft -> 'tool_call_id' <> '""'
      else jsonb_typeof(draft -> 'content') = 'string' and draft -> 'role' <@ '["system", "developer", "user", "assistant"]'
    end
  end
$$;
comment on function kata_data.is_usual_draft(jsonb) is
'Whether a message as a caller gave it is text, a single call or a result, with a token count and without a problem, found by a short look.
A result other than true leaves it open.';

create or replace function kata_data.check_drafts(messages jsonb, is_alone boolean default false) returns void
language plpgsql stable
as $$
declare
  v_problem record;
begin
  select d.ordinality, p.problem, kata_data.adapter_of(d.draft) as adapter into v_problem
  from jsonb_array_elements(messages) with ordinality d(draft, ordinality)
  cross join lateral (
    select coalesce(
      kata_data.draft_problem(d.draft),
      kata_data.message_problem(jsonb_populate_record(null::kata_data.message, d.draft))) as problem
    offset 0
  ) p
  where kata_data.is_usual_draft(d.draft) is not true
    and p.problem is not null
  limit 1;
  if found then
    raise exception using
      errcode = 'KC004',
      message = case when is_alone then 'the message' else format('message %s of the batch', v_problem.ordinality) end || ' is invalid',
      detail = v_problem.problem,
      hint = case
        when v_problem.adapter is not null
          then format('Nothing was appended: convert what a provider gives first, in Python with kata_context.adapters.%s.', v_problem.adapter)
        when is_alone then 'Nothing was appended: correct the message and append it again.'
        else 'Nothing was appended: correct the message and append the batch again.'
      end;
  end if;
end
$$;
comment on function kata_data.check_drafts(jsonb, boolean) is
'Refuses a batch in which a message has a problem, the first one by its number. KC004.';

create or replace function kata_data.message_problem(message kata_data.message) returns text
language plpgsql stable
as $$
begin
  return case
    when coalesce(message.role not in ('system', 'developer', 'user', 'assistant', 'tool'), true)
      then format('Its role is %s; roles are system, developer, user, assistant and tool.',
        coalesce('"' || left(message.role, 100) || '"', 'missing'))
    when octet_length(message.content) > 16777216
      then format('Its content is %s bytes long; at most 16 MB fit.', octet_length(message.content))
    when greatest(
        octet_length(message.tool_call_id), octet_length(message.tool_name), octet_length(message.name), octet_length(message.model)) > 65536
      then 'Its tool_call_id, tool_name, name or model is over 64 kB.'
    when jsonb_typeof(message.tool_calls) = 'array' and jsonb_array_length(message.tool_calls) > 1000
      then format('It has %s tool_calls; at most 1000 fit.', jsonb_array_length(message.tool_calls))
    when not kata_data.tool_calls_fit(message.tool_calls)
      then 'Its tool_calls are not in the form [{"id": …, "type": "function", "function": {"name": …, "arguments": "…"}}], or with custom for '
        'function and input for arguments, which are strings, or have an id or a name over 64 kB, or nest more than 100 deep, or hold a number beyond 1e308.'
    when kata_data.has_elements(message.tool_calls) and message.role <> 'assistant'
      then format('Its role is %s, and only an assistant calls tools.', message.role)
    when not kata_data.parts_fit(message.parts)
      then 'Its parts are not an array of objects with a type.'
    when kata_data.has_elements(message.parts) and kata_data.text_problem(message.parts) is not null
      then kata_data.text_problem(message.parts)
    when kata_data.has_elements(message.parts) and kata_data.call_part(message.parts) is not null
      then format('It has a part of type %s; calls are tool_calls, and a result is a message of the role tool.', kata_data.call_part(message.parts))
    when message.content is null and not kata_data.has_elements(message.tool_calls) and not kata_data.has_elements(message.parts)
      then 'It has no content, and neither tool_calls nor parts.'
    when message.role = 'tool' and coalesce(message.tool_call_id, '') = ''
      then 'It is a tool message without tool_call_id.'
    when message.role <> 'tool' and message.tool_call_id is not null
      then format('It has a tool_call_id, and its role is %s.', message.role)
    when jsonb_typeof(message.metadata) <> 'object' or jsonb_typeof(message.provider) <> 'object'
      then 'Its metadata and provider must be objects.'
    when greatest(pg_column_size(message.tool_calls), pg_column_size(message.parts), pg_column_size(message.provider),
        pg_column_size(message.metadata)) > 16777216
      then 'Its tool_calls, parts, provider or metadata are over 16 MB.'
    when not (kata_data.json_fits(message.parts) and kata_data.json_fits(message.provider) and kata_data.json_fits(message.metadata))
      then 'Its parts, provider or metadata nest more than 100 deep, or hold a number beyond 1e308.'
    when message.token_count < 0
      then format('Its token_count is %s, not an integer from 0 to 2147483647.', message.token_count)
    when message.token_source is not null and (message.token_count is null or message.token_source not in ('exact', 'given'))
      then 'Its token_source must be "exact" or "given", beside a token_count.'
  end;
end
$$;
comment on function kata_data.message_problem(kata_data.message) is
'A sentence on what is wrong with the values of a message; null if nothing is.';

create or replace function kata_data.is_plain(role text, content text, token_count integer) returns boolean
language sql immutable
as $$
  select role in ('user', 'assistant', 'system', 'developer') and octet_length(content) <= 16777216 and (token_count is null or token_count >= 0)
$$;
comment on function kata_data.is_plain(text, text, integer) is
'Whether a message of nothing but text is without a message_problem, found by a short look. Null where it has no text.';

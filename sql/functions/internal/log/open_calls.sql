-- How the maps of open calls in the head advance: call id → group, and group → tokens so far. verify replays a log by the same functions.

create or replace function kata_data.group_after(open_calls jsonb, tool_call_id text, version bigint) returns bigint
language sql immutable
as $$
  select coalesce((open_calls -> tool_call_id)::bigint, version)
$$;
comment on function kata_data.group_after(jsonb, text, bigint) is
'The group of a message: that of the open call which it answers, else its own version.';

create or replace function kata_data.group_tokens_after(open_groups jsonb, group_version bigint, token_count integer) returns bigint
language sql immutable
as $$
  select (open_groups -> group_version::text)::bigint + token_count
$$;
comment on function kata_data.group_tokens_after(jsonb, bigint, integer) is 'The tokens of an open group after a result of it.';

create or replace function kata_data.open_calls_with(open_calls jsonb, tool_calls jsonb, group_version bigint) returns jsonb
language plpgsql immutable
as $$
declare
  v_open jsonb := open_calls;
  v_id text;
begin
  for v_place in 0 .. jsonb_array_length(tool_calls) - 1 loop
    v_id := tool_calls -> v_place ->> 'id';
    if v_open ? v_id then
      raise exception using
        errcode = 'KC004',
        message = format('call id "%s" is open already', left(v_id, 100)),
        detail = format('Version %s made it, and it has no result yet; version %s would make it again.', v_open -> v_id, group_version),
        hint = 'Give every open call an id of its own, append the result of the open one first, or close it with kata.close_calls.';
    end if;
    v_open := v_open || jsonb_build_object(v_id, group_version);
  end loop;
  -- Every later call and result reads and writes all of them.
  if (select count(*) from jsonb_object_keys(v_open)) > 1000 then
    raise exception using
      errcode = 'KC004',
      message = 'more than 1000 calls would be open',
      detail = format('%s calls are open; version %s would make %s more.',
        (select count(*) from jsonb_object_keys(open_calls)), group_version, jsonb_array_length(tool_calls)),
      hint = 'Append the results of open calls first, or close calls that get none with kata.close_calls.';
  end if;
  return v_open;
end
$$;
comment on function kata_data.open_calls_with(jsonb, jsonb, bigint) is
'The open calls after one more message with calls. KC004 where an id is open already, or more than 1000 are open.';

create or replace function kata_data.open_groups_after(open_groups jsonb, open_calls jsonb, group_version bigint, group_tokens bigint) returns jsonb
language sql immutable
as $$
  select case
    when open_calls = '{}' then '{}'
    when jsonb_path_exists(open_calls, '$.* ? (@ == $group)', jsonb_build_object('group', group_version))
      then open_groups || jsonb_build_object(group_version, group_tokens)
    else open_groups - group_version::text
  end
$$;
comment on function kata_data.open_groups_after(jsonb, jsonb, bigint, bigint) is
'The open groups after a result of one of them: with its new tokens, or, where open_calls has no call of it any more, without it.';

create or replace function kata_data.oldest_group(open_groups jsonb) returns bigint
language plpgsql immutable
as $$
begin
  if open_groups = '{}' then
    return null;
  end if;
  return (select min(g.version::bigint) from jsonb_object_keys(open_groups) g(version));
end
$$;
comment on function kata_data.oldest_group(jsonb) is 'The oldest of the groups with an open call.';

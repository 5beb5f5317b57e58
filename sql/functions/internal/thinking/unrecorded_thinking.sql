-- Answers that no request recorded. The store does not know what they were given to: a user's word may have come in between, another window
-- been sent. Only the open tool turn goes out, because a model continues it; kata.prompt sends the same. thinking => 'assume' goes further.

create or replace function kata_data.hidden_before_unrecorded(
  request kata_data.request, profile kata_data.request_profile, view kata_data.view, shown int8multirange, turn bigint, version bigint, model text
) returns int8multirange
language plpgsql stable
as $$
declare
  v_before int8multirange;
  v_view kata_data.view;
begin
  v_before := kata_data.rows_before(request.context_id, view, shown, version);
  v_view := kata_data.view_at(request.context_id, version - 1);
  if not kata_data.is_own_thinking(hidden_before_unrecorded.model, profile.model)
    or request.recalled is not null
    or not v_before <@ int8multirange(int8range(null, version))
    or v_view.version <> view.version
      and not kata_data.has_same_words(request.context_id, v_before, version - 1, v_view, request.at, view) then
    return null;
  elsif profile.thinking = 'assume' then
    return case
      when not kata_data.holds_messages(request.context_id, kata_data.visible_at(view, request.at) - shown)
        then int8multirange(int8range(1, view.version + 1))
    end;
  elsif version > turn and kata_data.ends_in_tools(request.context_id, shown) then
    return int8multirange(int8range(1, turn + 1));
  end if;
  return null;
end
$$;
comment on function kata_data.hidden_before_unrecorded(
  kata_data.request, kata_data.request_profile, kata_data.view, int8multirange, bigint, bigint, text) is
'What is assumed to be hidden before an answer without a recorded request; null where its own thinking is not sent.

It was given what comes before it now, as of the version before it: nothing of that came later, and nothing reads in other words. Without
thinking => ''assume'' it must belong to the open tool turn, whose request hid the thinking of finished turns. With it, the whole view must be
shown, and thinking from before the newest view change stays hidden. turn: the last message of the user.';

create or replace function kata_data.ends_in_tools(context_id uuid, shown int8multirange) returns boolean
language sql stable
as $$
  select coalesce((
    select m.role = 'tool' or m.tool_calls is not null
    from kata_data.newest_first(ends_in_tools.context_id, shown) n
    cross join lateral kata_data.path_messages(ends_in_tools.context_id, int8multirange(int8range(n.version, n.version, '[]'))) m
    limit 1), false)
$$;
comment on function kata_data.ends_in_tools(uuid, int8multirange) is 'Whether the newest of some messages calls tools or is a result.';

-- Where a request starts, and whether the cache still has what the one before it sent. A plan that takes a warm cache for cold writes
-- everything again; one that takes a cold cache for warm pays nothing extra. So the whole time to live counts.

create or replace function kata_data.plan_of(
  context_id uuid, at bigint, view kata_data.view, profile kata_data.request_profile, stable_step integer
) returns kata_data.plan
language plpgsql stable
as $$
declare
  v_plan kata_data.plan;
  v_request kata_data.request;
begin
  if profile.cache is null then
    return null;
  end if;
  v_request := kata_data.previous_request(context_id, at, view, profile.prefix_digest);
  v_plan.keep_tokens := (
    select (kata_data.policy_value(c.policy, 'keep_tokens') #>> '{}')::integer
    from kata_data.context c
    where c.context_id = plan_of.context_id);
  if stable_step = 0 then
    v_plan.start := coalesce(v_request.start_version, 0);
  end if;
  v_plan.until := v_request.at;
  v_plan.is_cold := v_request.at is null
    or kata_data.clock() > v_request.created_at + kata_data.time_to_live(profile.cache, v_request.long_ttl)
    or not kata_data.is_still_shown(context_id, at, view, v_request);
  return v_plan;
end
$$;
comment on function kata_data.plan_of(uuid, bigint, kata_data.view, kata_data.request_profile, integer) is
'The plan of a request as of a version, from the one before it; null without a cache. With a
stable step its start is not planned. view: as of the version.';

create or replace function kata_data.time_to_live(cache text, is_long boolean) returns interval
language sql immutable
as $$
  select case when cache = 'openai' then interval '30 minutes' when is_long then interval '1 hour' else interval '5 minutes' end
$$;
comment on function kata_data.time_to_live(text, boolean) is 'How long a provider keeps what it read last.';

create or replace function kata_data.is_still_shown(context_id uuid, at bigint, view kata_data.view, request kata_data.request) returns boolean
language plpgsql stable
as $$
declare
  v_view kata_data.view;
  v_shown int8multirange;
begin
  v_view := kata_data.view_at(context_id, request.at);
  if v_view.version = view.version then
    return true;
  end if;
  -- The request may be an ancestor's: the path is that of the context that asks now.
  request.context_id := context_id;
  v_shown := kata_data.shown_by(request, v_view);
  return view.replacements = v_view.replacements
    and not kata_data.holds_messages(
      context_id, v_shown - kata_data.visible_at(view, at) - kata_data.versions_of(view.replacements))
    and kata_data.has_same_words(context_id, v_shown, request.at, v_view, at, view);
end
$$;
comment on function kata_data.is_still_shown(uuid, bigint, kata_data.view, kata_data.request) is
'Whether all that a request showed is in a view, in the same words and under the same summaries. at, view: of now.';

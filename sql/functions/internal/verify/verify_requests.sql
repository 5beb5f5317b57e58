-- Requests against the log: each answer and its request name each other, numbers have no gap, and profiles and tools are what their digests
-- say. That a recipe is as it was follows from the digest of the answer, which verify_message recomputes; what no answer covers yet can
-- only be compared with the log.

create or replace function kata_data.verify_answer(message kata_data.message, framed bigint) returns setof kata_data.finding
language plpgsql stable rows 1
as $$
declare
  v_request kata_data.request;
begin
  select r.* into v_request
  from kata_data.request r
  where r.context_id = message.segment_id
    and r.request_id = message.request_id;
  if v_request.answer_version is distinct from message.version then
    return next row(message.version, 'request', format(
      'The message answers request %s, whose answer is %s.', message.request_id,
      case when v_request.request_id is null then 'unknown: it is missing' else coalesce('version ' || v_request.answer_version, 'missing') end
    ))::kata_data.finding;
  elsif v_request.framed_from is distinct from least(coalesce(framed, 0) + 1, message.request_id) then
    return next kata_data.differs(
      message.version, 'request', 'covers requests from ' || v_request.framed_from,
      'from ' || least(coalesce(framed, 0) + 1, message.request_id));
  end if;
end
$$;
comment on function kata_data.verify_answer(kata_data.message, bigint) is
'Damage in what an answer and its request say of each other. framed: the greatest request that the answers before cover.';

create or replace function kata_data.verify_requests(context_id uuid) returns setof kata_data.finding
language plpgsql stable rows 10
as $$
declare
  v_newest bigint;
  v_reach bigint;
  v_request kata_data.request;
  v_previous bigint := 0;
  v_profiles bigint[] := '{}'::bigint[];
begin
  v_newest := (select h.version from kata_data.head h where h.context_id = verify_requests.context_id);
  v_reach := least(v_newest, kata_data.segment_reach(verify_requests.context_id));
  for v_request in
    select r.* from kata_data.request r where r.context_id = verify_requests.context_id order by r.request_id
  loop
    if v_request.request_id <> v_previous + 1 then
      return next row(null, 'request', format('Requests %s to %s are missing.', v_previous + 1, v_request.request_id - 1))::kata_data.finding;
    end if;
    v_previous := v_request.request_id;
    return query select f.version, f.problem, f.detail from kata_data.verify_request(v_request, v_newest, v_reach) f;
    if v_request.profile_id <> all (v_profiles) then
      v_profiles := v_profiles || v_request.profile_id;
      return query select f.version, f.problem, f.detail from kata_data.verify_profile(v_request) f;
    end if;
  end loop;
end
$$;
comment on function kata_data.verify_requests(uuid) is
'Damage in the requests of a context, purged or not. Cost: O(requests + forks).';

create or replace function kata_data.verify_request(request kata_data.request, newest bigint, reach bigint) returns setof kata_data.finding
language plpgsql stable rows 2
as $$
declare
  v_answers bigint;
begin
  if request.at > newest or request.answer_version <= request.at then
    return next row(request.answer_version, 'request', format(
      'Request %s is as of version %s, %s.', request.request_id, request.at,
      case when request.at > newest then 'which the log does not have' else 'and its answer is not later' end))::kata_data.finding;
  end if;
  -- A purge keeps requests whose answers it removes.
  if request.answer_version <= reach or request.answer_version > newest or request.answer_version is null and request.framed_from is not null then
    v_answers := (
      select m.request_id from kata_data.message m where m.segment_id = request.context_id and m.version = request.answer_version);
    if v_answers is distinct from request.request_id then
      return next row(request.answer_version, 'request', format(
        'Request %s names %s as its answer, which answers %s.', request.request_id,
        coalesce('version ' || request.answer_version, 'none'), coalesce('request ' || v_answers, 'none')))::kata_data.finding;
    end if;
  end if;
  return query select f.version, f.problem, f.detail from kata_data.verify_salt(request.answer_version, request.salt) f;
end
$$;
comment on function kata_data.verify_request(kata_data.request, bigint, bigint) is
'Damage in a request. newest: the newest version of its context; reach: the one up to which the log is there.';

create or replace function kata_data.verify_profile(request kata_data.request) returns setof kata_data.finding
language plpgsql stable rows 1
as $$
declare
  v_profile kata_data.request_profile;
begin
  select p.* into v_profile
  from kata_data.request_profile p
  where p.profile_id = request.profile_id;
  if v_profile.profile_id is null or v_profile.digest <> kata_data.profile_digest(v_profile)
    or v_profile.prefix_digest <> kata_data.prefix_digest(v_profile) then
    return next row(
      request.answer_version, 'request', format('The profile of request %s is missing, or was changed.', request.request_id))::kata_data.finding;
  elsif v_profile.tools_digest is not null and not exists (
    select
    from kata_data.tool_list t
    where t.tenant = v_profile.tenant
      and t.digest = v_profile.tools_digest
      and t.digest = sha256(convert_to(t.content, 'UTF8')))
  then
    return next row(
      request.answer_version, 'request', format('The tools of request %s are missing, or were changed.', request.request_id))::kata_data.finding;
  end if;
end
$$;
comment on function kata_data.verify_profile(kata_data.request) is 'Damage in the profile of a request, and in its tools.';

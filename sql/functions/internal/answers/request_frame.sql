-- Requests in the chain of digests. A request is not an entry; the digest of its answer covers it, and with it the requests before that no
-- earlier answer covers. A frame holds neither what an erasure removes from a request nor what is known only later.

create or replace function kata_data.request_frame(request kata_data.request, profile_digest bytea) returns text
language sql stable
as $$
  select format('1|request|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s',
    request.context_id, request.request_id, (extract(epoch from request.created_at) * 1000000)::bigint, request.at, encode(profile_digest, 'hex'),
    request.preamble_end, request.start_version, request.budget, request.stable_step, request.token_count, request.message_count,
    request.long_ttl, request.open_end, encode(request.body_digest, 'hex'), case
      when request.bridge is not null or request.shown is not null or request.hidden_thinking is not null or request.recalled is not null
        or request.recall_place is not null or request.turn_version is not null then kata_data.request_marks(request)
    end)
$$;
comment on function kata_data.request_frame(kata_data.request, bytea) is
'What the digest of an answer covers of a request: all that never changes, the profile by its digest.';

create or replace function kata_data.request_marks(request kata_data.request) returns jsonb
language plpgsql stable
as $$
begin
  -- Apart, because an expression prepares all of its branches, and most requests have none of these.
  return jsonb_strip_nulls(jsonb_build_object(
    'bridge', request.bridge, 'shown', request.shown, 'hidden_thinking', request.hidden_thinking, 'recalled', request.recalled,
    'recall_place', request.recall_place, 'turn_version', request.turn_version));
end
$$;
comment on function kata_data.request_marks(kata_data.request) is 'The fields of a frame that few requests have.';

create or replace function kata_data.frames_digest(frames text) returns text
language sql stable
as $$
  select encode(sha256(convert_to(frames, 'UTF8')), 'hex')
$$;
comment on function kata_data.frames_digest(text) is 'SHA-256 over the frames of some requests, in hexadecimal.';

create or replace function kata_data.requests_digest(context_id uuid, first_request bigint, last_request bigint) returns text
language plpgsql stable
as $$
begin
  return (
    select kata_data.frames_digest(string_agg(kata_data.request_frame(r, p.digest), E'\n' order by r.request_id))
    from kata_data.request r
    left join lateral (
      select p.digest from kata_data.request_profile p where p.profile_id = r.profile_id offset 0
    ) p on true
    where r.context_id = requests_digest.context_id
      and r.request_id between first_request and last_request);
end
$$;
comment on function kata_data.requests_digest(uuid, bigint, bigint) is
'SHA-256, in hexadecimal, over the frames of some requests of a context, a line feed between two; null where there is none.

Cost: O(log n + requests).';

create or replace function kata_data.framed_requests(segment_id uuid, request_id bigint) returns text
language plpgsql stable
as $$
begin
  return kata_data.requests_digest(segment_id, (
    select r.framed_from
    from kata_data.request r
    where r.context_id = framed_requests.segment_id
      and r.request_id = framed_requests.request_id), request_id);
end
$$;
comment on function kata_data.framed_requests(uuid, bigint) is
'The digest of the requests that the frame of an answer covers: its own, and those before that no earlier answer covered.';

create or replace function kata_data.profile_digest(profile kata_data.request_profile) returns bytea
language sql stable
as $$
  select substr(sha256(convert_to(jsonb_strip_nulls(jsonb_build_object(
    'renderer', profile.renderer, 'tenant', profile.tenant, 'format', profile.format, 'system', profile.system,
    'thinking', profile.thinking, 'model', profile.model, 'tokenizer', profile.tokenizer, 'cache', profile.cache,
    'tools', encode(profile.tools_digest, 'hex'), 'options', profile.options))::text, 'UTF8')), 1, 16)
$$;
comment on function kata_data.profile_digest(kata_data.request_profile) is
'The digest of a profile, over what was asked for: all of its columns except its number, its time, the digests and tokens that follow.

options counts as the text that it is. kata.request finds a profile by it, before anything is counted.';

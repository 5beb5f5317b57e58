-- The recipe says which versions were shown and by which renderer, so nothing is chosen and nothing is counted. An erasure since then changes
-- the bytes, and takes the salt of the request, without which it is refused. Other bytes than were recorded are damage.
-- plans: reader

create or replace function kata.replay(context_id uuid, request_id bigint)
returns table (body text, body_digest bytea, is_same boolean)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
as $$
declare
  v_request kata_data.request;
  v_profile kata_data.request_profile;
begin
  perform kata_data.open_context(context_id);
  v_request := kata_data.request_at(context_id, request_id);
  if v_request.salt is null then
    perform kata_data.refuse_replay(v_request);
  end if;
  v_profile := (select p from kata_data.request_profile p where p.profile_id = v_request.profile_id);
  body := (kata_data.request_body(
    v_request, v_profile, kata_data.listed_tools(v_profile), kata_data.prompt_rows(kata_data.recipe_rows(v_request)))).body;
  body_digest := sha256(v_request.salt || convert_to(body, 'UTF8'));
  is_same := body_digest = v_request.body_digest;
  return next;
end
$$;
comment on function kata.replay(uuid, bigint) is
'Makes the body of a recorded request again, byte for byte.

Neither changes of the context since then nor other token counts, tokenizers or policies matter.

context_id: the context. request_id: the request, as kata.request returned it.

Returns one row: body, body_digest (SHA-256 over the salt of the request and the body), is_same (whether it is the digest that was
recorded; false means that stored data were changed outside of the functions).
Errors: KC001, KC006, KC017 the context has no such request, KC023 an entry in it was erased (DETAIL has its version and the time).
Cost: as prompt.';

-- One digest of all that a context is: its log, its acts, and how many requests it has made; entries cover the requests.

create or replace function kata_data.head_digest(
  context_id uuid, version bigint, last_digest bytea, acts bigint, act_digest bytea, requests bigint
) returns bytea
language sql immutable
as $$
  select sha256(
    E'\\x00'::bytea || uuid_send(context_id) || int8send(version) || last_digest || int8send(acts) || act_digest || int8send(requests))
$$;
comment on function kata_data.head_digest(uuid, bigint, bytea, bigint, bytea, bigint) is
'SHA-256 over the byte 0, the id of a context, its version and last digest, the number of its acts and their last digest, and the number of
its requests; numbers have 8 bytes, the highest first.';

create or replace function kata_data.head_digests(
  inout context_id uuid, out version bigint, out digest bytea, out last_digest bytea, out acts bigint, out act_digest bytea,
  out requests bigint
) returns setof record
language plpgsql stable rows 1
as $$
begin
  select h.version, h.last_digest into head_digests.version, head_digests.last_digest
  from kata_data.head h
  where h.context_id >= head_digests.context_id and h.context_id <= head_digests.context_id
  order by h.context_id desc
  limit 1;
  if not found then
    return;
  end if;
  select a.number, a.digest into acts, act_digest
  from kata_data.act a
  where a.context_id = head_digests.context_id
  order by a.number desc
  limit 1;
  if not found then
    acts := 0;
    act_digest := kata_data.first_digest(context_id);
  end if;
  -- Numbered without a gap: the newest says how many.
  requests := coalesce(
    (select r.request_id from kata_data.request r where r.context_id = head_digests.context_id order by r.request_id desc limit 1), 0);
  digest := kata_data.head_digest(context_id, version, last_digest, acts, act_digest, requests);
  return next;
end
$$;
comment on function kata_data.head_digests(uuid) is
'The row of a context in kata.heads; none where it has no head. Cost: O(log n).';

-- The bodies of requests that showed a text which is erased. All else in a body can be made again, so a digest of it would confirm a guess of
-- the text: without its salt it says nothing. An error may repeat the body.

create or replace function kata_data.forget_bodies(segment_id uuid, version bigint, shown_version bigint) returns void
language plpgsql volatile
as $$
begin
  update kata_data.request r
  set salt = null, error = null
  from kata_data.contexts_reading(forget_bodies.segment_id, forget_bodies.version) c
  where r.context_id = c.context_id
    and r.at >= forget_bodies.version
    and num_nonnulls(r.salt, r.error) > 0
    and kata_data.shows(r, shown_version);
end
$$;
comment on function kata_data.forget_bodies(uuid, bigint, bigint) is
'Removes salt and error of the requests that showed a message or summary, of every context that reads an entry, as of that entry or later.

The entry is the message itself, or an amendment of it. The digest of the body stays, and the digest of the answer covers it.
Cost: O(family + requests of the contexts that read the entry × log n).';

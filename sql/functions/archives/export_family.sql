-- The lines of the archive of a family, page by page. Salts are among them, from which a digest could be made to fit another text: for
-- administrators only. Pages of one archive are read in one snapshot, which is the caller's transaction.
-- plans: reader

create or replace function kata.export_family(context_id uuid, after text default null, max_rows integer default 1000)
returns table (line text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off set timezone = 'UTC' set bytea_output = 'hex'
as $$
declare
  v_family_id uuid;
  v_max_rows integer := max_rows;
begin
  perform kata_data.open_context(context_id, access => 'any');
  perform kata_data.check_max_rows(max_rows);
  select c.family_id into strict v_family_id
  from kata_data.context c
  where c.context_id = export_family.context_id;
  if after is null then
    line := kata_data.archive_header(v_family_id)::text;
    return next;
    v_max_rows := v_max_rows - 1;
  elsif not pg_input_is_valid(after, 'jsonb') then
    perform kata_data.refuse_line(to_jsonb(after));
  end if;
  if v_max_rows > 0 then
    return query select p from kata_data.export_page(v_family_id, after::jsonb, v_max_rows) p;
  end if;
end
$$;
comment on function kata.export_family(uuid, text, integer) is
'Lists the lines of the archive of a fork family, from which kata.import_family makes it again.

The archive holds all that the log of the family is: entries with their ids, versions, times, salts and digests, forks, views, acts, receipts,
requests, artifacts that callers added. Erased texts are gone from it, too. The indexes of artifacts and searches and embeddings are left out:
they are made again. Deleted and purged contexts are part of it.

context_id: any member of the family; it may be deleted.
after: the last line of the previous page; null for the first. max_rows: 1 to 1,000; a page ends behind 4 MB, too.

Read all pages in one transaction that is repeatable read, so that they belong together; an archive is complete with the page that is empty.

Returns rows: line, a JSON object. The first one says what follows. Pass a line on as the text that it is: another program may print its numbers
in another way.
Errors: KC001, KC017. Cost: O(contexts of the family + rows) per page, and for the first line O(family).';

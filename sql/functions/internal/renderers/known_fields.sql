-- Objects within parts, which answers of providers have with more fields than requests may have: citations with the id of a file, marks of a
-- cache with a scope. Each is written anew, with the fields that the provider takes.

create or replace function kata_data.sent_citations(citations jsonb) returns jsonb
language sql immutable
as $$
  select case when jsonb_typeof(citations) = 'array' then jsonb_build_object('citations', coalesce((
    select jsonb_agg(c.sent order by c.ordinality)
    from (
      select e.ordinality, kata_data.with_fields(e.citation, case e.citation ->> 'type'
        when 'char_location' then '{cited_text,document_index,document_title,start_char_index,end_char_index}'::text[]
        when 'page_location' then '{cited_text,document_index,document_title,start_page_number,end_page_number}'
        when 'content_block_location' then '{cited_text,document_index,document_title,start_block_index,end_block_index}'
        when 'search_result_location' then '{cited_text,search_result_index,source,title,start_block_index,end_block_index}'
        when 'web_search_result_location' then '{cited_text,encrypted_index,title,url}'
      end, '{}') as sent
      from jsonb_array_elements(citations) with ordinality e(citation, ordinality)
    ) c
    where c.sent is not null), '[]')) else '{}' end
$$;
comment on function kata_data.sent_citations(jsonb) is 'The citations of a text in the Anthropic form, as a field; an empty object for none.';

create or replace function kata_data.sent_citing(part jsonb) returns jsonb
language sql immutable
as $$
  select case when jsonb_typeof(part #> '{citations,enabled}') = 'boolean'
    then jsonb_build_object('citations', jsonb_build_object('enabled', part #> '{citations,enabled}')) else '{}' end
$$;
comment on function kata_data.sent_citing(jsonb) is 'Whether a document is cited, as a field of the Anthropic form; an empty object where it does not say so.';

create or replace function kata_data.sent_caller(fields jsonb, format text) returns jsonb
language sql immutable
as $$
  select case when c.sent is null then '{}' else jsonb_build_object('caller', c.sent) end
  from (
    select kata_data.with_fields(fields -> 'caller', case
      when fields #>> '{caller,type}' = 'direct' then '{}'::text[]
      when format = 'responses' and fields #>> '{caller,type}' = 'program' then '{caller_id}'
      when format = 'anthropic' and fields #>> '{caller,type}' ~~ 'code_execution%' then '{tool_id}'
    end, '{}') as sent
  ) c
$$;
comment on function kata_data.sent_caller(jsonb, text) is 'What called a tool, as a field; an empty object where the form does not know it.';

create or replace function kata_data.sent_annotations(part jsonb) returns jsonb
language sql immutable
as $$
  select jsonb_build_object('annotations', case when jsonb_typeof(part -> 'annotations') = 'array' then coalesce((
    select jsonb_agg(a.sent order by a.ordinality)
    from (
      select e.ordinality, kata_data.with_fields(e.annotation, case e.annotation ->> 'type'
        when 'file_citation' then '{file_id,filename,index}'::text[]
        when 'url_citation' then '{url,title,start_index,end_index}'
        when 'container_file_citation' then '{container_id,file_id,filename,start_index,end_index}'
        when 'file_path' then '{file_id,index}'
      end, '{}') as sent
      from jsonb_array_elements(part -> 'annotations') with ordinality e(annotation, ordinality)
    ) a
    where a.sent is not null), '[]') else '[]' end)
    || case when jsonb_typeof(part -> 'logprobs') = 'array' and not part @? '$.logprobs[*] ? (!exists(@.bytes) || !exists(@.logprob) || !exists(@.top_logprobs))'
      then jsonb_build_object('logprobs', part -> 'logprobs') else '{}' end
$$;
comment on function kata_data.sent_annotations(jsonb) is 'The annotations and probabilities of a text in the OpenAI Responses form, as fields.';

create or replace function kata_data.with_sent_marks(block jsonb, mark text) returns jsonb
language sql immutable
as $$
  select kata_data.with_sent_mark(block, mark) || case when jsonb_typeof(block -> 'content') = 'array' then jsonb_build_object('content', coalesce((
    select jsonb_agg(kata_data.with_sent_mark(e.element, mark) order by e.ordinality)
    from jsonb_array_elements(block -> 'content') with ordinality e(element, ordinality)), '[]')) else '{}' end
$$;
comment on function kata_data.with_sent_marks(jsonb, text) is 'A block whose marks of a cache, those in its content included, are as the provider takes them.';

create or replace function kata_data.with_sent_mark(block jsonb, mark text) returns jsonb
language sql immutable
as $$
  select case
    when not block ? mark then block
    when (mark = 'cache_control' and block #>> '{cache_control,type}' = 'ephemeral')
      or (mark = 'prompt_cache_breakpoint' and block #>> '{prompt_cache_breakpoint,mode}' = 'explicit')
    then block || jsonb_build_object(mark, jsonb_build_object(m.field, block #> array[mark, m.field])
      || case when block #>> array[mark, 'ttl'] = any (m.times) then jsonb_build_object('ttl', block #> array[mark, 'ttl']) else '{}' end)
    else block - mark
  end
  from (
    select case mark when 'cache_control' then 'type' else 'mode' end as field,
      case mark when 'cache_control' then '{5m,1h}'::text[] else '{30m,12h}' end as times
  ) m
$$;
comment on function kata_data.with_sent_mark(jsonb, text) is 'A block whose mark of a cache is as the provider takes it; without the mark where it does not.';

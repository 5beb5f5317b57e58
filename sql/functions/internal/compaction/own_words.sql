-- The words of the user, without the context that editors and agents wrap around them.

create or replace function kata_data.own_words(content text) returns text
language sql immutable
as $$
  select case
    when length(content) > 200000 or position('</' in content) = 0 then content
    else btrim(
      regexp_replace(
        -- {1,1}? makes the whole of it match as little as it can.
        regexp_replace(content, '(?:<(?:' || kata_data.context_tags() || E')\\M[^>]*>.*</(?:' || kata_data.context_tags() || ')>){1,1}?' collate kata_data.c_utf8, '', 'g'),
        '</?(?:' || kata_data.request_tags() || E')\\M[^>]*>', '', 'g'),
      E' \t\r\n')
  end
$$;
comment on function kata_data.own_words(text) is
'A message of the user without the context that tools put into it, and without the tags around the user''s words.

Messages of more than 200,000 characters, and tags that are on neither list, stay as they are.';

create or replace function kata_data.context_tags() returns text
language sql immutable
as $$
  select 'system-reminder|system_reminder|environment_details|environment_context|environment_info|ide_[a-z_]+|editorContext|workspace_info'
    || '|local-command-[a-z]+|command-message|command-contents|user-prompt-submit-hook|session-start-hook|new-diagnostics|reminder'
    || '|reminderInstructions|additional_data|open_and_recently_viewed_files|user_info|user_instructions|cursor_rules_context'
    || '|always_applied_workspace_rules|git_status|project_layout|attached_files|attachments|context_summary|permissions|persisted-output'
$$;
comment on function kata_data.context_tags() is 'The tags, as a pattern, between which agents and editors put context that the user did not write.';

create or replace function kata_data.request_tags() returns text
language sql immutable
as $$
  select 'user_query|user_message|user_request|userRequest|user-request|task|feedback|answer|command-name|command-args|user_feedback|prompt|query'
$$;
comment on function kata_data.request_tags() is 'The tags, as a pattern, between which agents put the words of the user.';

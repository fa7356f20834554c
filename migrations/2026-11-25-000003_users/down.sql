DROP TABLE registrations, released_usernames, users;
DROP FUNCTION keyward_trigrams, keyward_user_search_text;

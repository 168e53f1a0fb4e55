-- conversation: how long calls are, in turns, words and seconds.
-- inputs: sessions
-- grain: one row per bot. Means are over sessions with at least one exchange; mean_words over those whose words are known.
SELECT
    bot, count(*) AS sessions, count(CASE WHEN turns > 0 THEN 1 END) AS conversations,
    avg(CASE WHEN turns > 0 THEN turns END) AS mean_turns,
    quantile_cont(CASE WHEN turns > 0 THEN turns END, 0.5) AS median_turns,
    count(CASE WHEN turns > 0 THEN words END) AS worded,
    avg(CASE WHEN turns > 0 THEN words END) AS mean_words,
    avg(CASE WHEN turns > 0 THEN duration_s END) AS mean_duration_s
FROM sessions
GROUP BY bot
ORDER BY sessions DESC, bot

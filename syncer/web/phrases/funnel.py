"""Of the funnel."""

from __future__ import annotations

from collections.abc import Mapping

PHRASES: Mapping[str, tuple[str, str]] = {
    "funnel_heading": ("Funnel", "Embudo"),
    # How the runs stand
    "funnel_syncs": ("Last syncs", "Últimas sincronizaciones"),
    "funnel_ago": ("{span} ago", "hace {span}"),
    "funnel_just_now": ("just now", "ahora mismo"),
    "funnel_synced": ("last sync {ago}", "última sincronización {ago}"),
    "funnel_never_synced": ("never synced", "sin sincronizar todavía"),
    "funnel_at_work": ("syncing now", "sincronizando ahora"),
    "funnel_next_in": ("next in {span}", "próxima en {span}"),
    "funnel_next_due": ("next one is due", "la próxima ya toca"),
    "funnel_rests": ("left alone until {at}", "en pausa hasta el {at}"),
    "funnel_more_syncs": ("and {count} more connections", "y {count} conexiones más"),
    "funnel_partial": ("in part", "solo en parte"),
    "funnel_failed": ("it failed", "falló"),
    "funnel_crashed": ("it broke off", "se interrumpió"),
    "funnel_stopped": ("it was stopped", "se detuvo"),
    "funnel_waiting": ("its plan is held back", "su plan está retenido"),
    "funnel_fuse": (
        "The plan of {connection} would move more leads than the fuse allows. Nothing was written; a person must look "
        "at it.",
        "El plan de {connection} movería más leads de los que permite el límite de seguridad. No se ha escrito nada; "
        "alguien tiene que revisarlo.",
    ),
    "funnel_fuse_look": ("Look at the runs", "Ver las ejecuciones"),
    "funnel_late_one": ("1 hand-off is late: sales has not acted on it in time.", "1 entrega va con retraso: ventas no "
                        "ha actuado a tiempo."),
    "funnel_late": ("{count} hand-offs are late: sales has not acted on them in time.", "{count} entregas van con "
                    "retraso: ventas no ha actuado a tiempo."),
    "funnel_late_look": ("Look at the hand-offs", "Ver las entregas"),
    "funnel_no_run": ("No run yet: nothing is known of any lead.", "Todavía no hay ninguna ejecución: no se conoce "
                      "ningún lead."),
    "funnel_no_run_do": (
        "“syncer check” says what is missing, “syncer run” reads and scores all leads once, and “syncer daemon” goes "
        "on doing so.",
        "«syncer check» dice qué falta, «syncer run» lee y puntúa todos los leads una vez y «syncer daemon» lo sigue "
        "haciendo.",
    ),
    "funnel_first_run": ("The first run is at work; leads appear here when it has scored them.", "La primera ejecución "
                         "está en marcha; los leads aparecen aquí cuando los haya puntuado."),
    "funnel_nobody": ("No lead fits what is asked for.", "Ningún lead cumple lo que se pide."),
    # What is asked
    "funnel_period": ("Period", "Periodo"),
    "funnel_days": ("last {days} days", "últimos {days} días"),
    "funnel_source": ("Source", "Origen"),
    "funnel_all_sources": ("All sources", "Todos los orígenes"),
    "funnel_counting_sources": ("Counting sources…", "Contando orígenes…"),
    "funnel_segment": ("Model", "Modelo"),
    "funnel_all_segments": ("All models", "Todos los modelos"),
    # Stages
    "funnel_stages": ("Stages", "Etapas"),
    "funnel_stages_since": ("{leads} leads now, and what happened from {since} on", "{leads} leads ahora, y lo "
                              "ocurrido desde el {since}"),
    "funnel_stages_now": ("{leads} leads now", "{leads} leads ahora"),
    "funnel_stage": ("Stage", "Etapa"),
    "funnel_other": ("other", "otra"),
    "funnel_new": ("new", "nuevo"),
    "funnel_share": ("Share", "Proporción"),
    "funnel_leads": ("Leads", "Leads"),
    "funnel_entered": ("Entered", "Entran"),
    "funnel_of_them_new": ("{count} new", "nuevos: {count}"),
    "funnel_left": ("Left", "Salen"),
    "funnel_went_on": ("Went on", "Avanzan"),
    "funnel_part_of": ("{part} of {of}", "{part} de {of}"),
    "funnel_median": ("Median days", "Mediana de días"),
    "funnel_p90": ("9 in 10 within days", "9 de cada 10, días"),
    "funnel_total": ("Total", "Total"),
    "funnel_define": (
        "Entered and left are moves that were recorded, of leads that are still there. Went on: of the different leads "
        "that entered a stage in this period, those that have stood in a hotter one since, up to now. Days are of "
        "stays that ended in this period; who was there at the first sync is counted from then on.",
        "Entran y salen son movimientos registrados, de leads que siguen existiendo. Avanzan: de los distintos leads "
        "que entraron en una etapa en este periodo, los que han estado después, hasta ahora, en una más caliente. Los "
        "días son de estancias que terminaron en este periodo; quien ya estaba en la primera sincronización cuenta "
        "desde entonces.",
    ),
    "funnel_define_other": (
        "Other: a stage that the rules no longer know. The next run decides these leads anew.",
        "Otra: una etapa que las reglas ya no conocen. La próxima ejecución decide de nuevo sobre estos leads.",
    ),
    "funnel_placed": ("{count} placements while the base was first read are no news and count nowhere here.", "{count} "
                      "asignaciones hechas al leer la base por primera vez no son novedad y no cuentan aquí."),
    "funnel_first_sync": ("The first sync was on {at}; moves are known from then on.", "La primera sincronización fue "
                          "el {at}; los movimientos se conocen desde entonces."),
    # Over time
    "funnel_over_time": ("Stages over time", "Etapas a lo largo del tiempo"),
    "funnel_over_time_aria": ("Stacked areas: leads in each stage at the end of each day; the table below has the same "
                              "numbers", "Áreas apiladas: leads en cada etapa al final de cada día; la tabla de abajo "
                              "tiene los mismos números"),
    "funnel_one_day": (
        "So far only today is known. From tomorrow on the stages over time are drawn here.",
        "De momento solo se conoce el día de hoy. A partir de mañana se verán aquí las etapas a lo largo del tiempo.",
    ),
    "funnel_numbers": ("The numbers", "Los números"),
    "funnel_day": ("End of", "Final del"),
    "funnel_now": ("now", "ahora"),
    "funnel_weekly": ("Every seventh day", "Un día de cada siete"),
    # Between stages
    "funnel_flow": ("Moves between stages", "Movimientos entre etapas"),
    "funnel_flow_sum": ("{up} up, {down} down, {new} new leads", "{up} suben, {down} bajan, {new} leads nuevos"),
    "funnel_flow_aria": ("From which stage into which, as wide as there were moves; the table below has the same "
                         "numbers", "De qué etapa a cuál, tan ancho como movimientos hubo; la tabla de abajo tiene los "
                         "mismos números"),
    "funnel_no_moves": ("No lead has moved in this period.", "Ningún lead se ha movido en este periodo."),
    "funnel_from_to": ("From (rows) into (columns)", "De (filas) a (columnas)"),
    "funnel_from": ("From", "De"),
    # Why
    "funnel_why": ("What made leads {stage}", "Qué hizo que los leads llegaran a {stage}"),
    "funnel_causes": ("Cause of the move into {stage}", "Causa del paso a {stage}"),
    "funnel_cause": ("Cause", "Causa"),
    "funnel_moves": ("Moves", "Movimientos"),
    "funnel_cause_activity": ("something they did", "algo que hicieron"),
    "funnel_cause_profile": ("something learned of them", "algo que se supo de ellos"),
    "funnel_cause_fading": ("time that passed", "el paso del tiempo"),
    "funnel_cause_model": ("other rules", "otras reglas"),
    "funnel_cause_override": ("a person's word, or its end", "la decisión de una persona, o su fin"),
    "funnel_cause_merge": ("two records became one", "dos registros pasaron a ser uno"),
    "funnel_none_ready": ("No lead became {stage} in this period.", "Ningún lead llegó a {stage} en este periodo."),
    "funnel_rules": ("Rules among the three strongest reasons of {count} hand-offs", "Reglas entre los tres motivos "
                     "más fuertes de {count} entregas"),
    "funnel_rule": ("Rule", "Regla"),
    "funnel_named_in": ("Hand-offs", "Entregas"),
    "funnel_points": ("Points in all", "Puntos en total"),
    "funnel_no_rules": ("No hand-off of this period names its reasons.", "Ninguna entrega de este periodo indica sus "
                        "motivos."),
    # Side by side
    "funnel_by_source": ("By source", "Por origen"),
    "funnel_by_model": ("By model", "Por modelo"),
    "funnel_compared": ("All leads as they stand now, whatever source and model are chosen above", "Todos los leads "
                        "tal como están ahora, sea cual sea el origen o el modelo elegido arriba"),
    "funnel_share_ready": ("{stage} share", "Parte en {stage}"),
    "funnel_unknown": ("not known", "desconocido"),
    "funnel_rest": ("all others", "todos los demás"),
}  # fmt: skip

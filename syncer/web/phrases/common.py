"""Of the frame around every page, and of what several pages say."""

from __future__ import annotations

from collections.abc import Mapping

PHRASES: Mapping[str, tuple[str, str]] = {
    "skip": ("Skip to the content", "Saltar al contenido"),
    "nav": ("Pages", "Páginas"),
    "nav_funnel": ("Funnel", "Embudo"),
    "nav_leads": ("Leads", "Leads"),
    "nav_handoffs": ("Hand-offs", "Entregas"),
    "nav_what_if": ("What if", "¿Y si…?"),
    "nav_runs": ("Runs", "Ejecuciones"),
    "all_connections": ("All connections", "Todas las conexiones"),
    "connection": ("Connection", "Conexión"),
    "counting": ("Counting…", "Contando…"),
    "not_counted": ("This could not be counted: {why}", "No se ha podido contar: {why}"),
    "as_of": ("as of {at}", "a fecha de {at}"),
    "as_of_clock": ("as of {at}", "a las {at}"),
    "apply": ("Apply", "Aplicar"),
    "nothing_here": ("Nothing here yet.", "Todavía no hay nada aquí."),
    "went_wrong": ("That did not work", "No ha funcionado"),
    "not_found": ("There is no such page", "Esta página no existe"),
    "forbidden": ("You may look at this, but not do it: it takes the role {role}", "Puede verlo, pero no hacerlo: "
                  "hace falta el rol {role}"),
    "forbidden_page": ("This page takes the role {role}", "Esta página requiere el rol {role}"),
    "later": ("That did not work just now. Please try again in a minute.", "Ahora mismo no ha sido posible. "
              "Inténtelo de nuevo en un minuto."),
    "again": ("That did not work just now. This page tries again by itself.", "Ahora mismo no ha sido posible. Esta "
              "página lo intentará de nuevo por sí sola."),
    "reload": ("Reload", "Recargar"),
    "back": ("Back", "Volver"),
}  # fmt: skip

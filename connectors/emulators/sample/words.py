"""Names, jobs, companies and answers that the sample base is made of. All invented; domains are reserved or free-mail.

The company in the middle, Nimbo, sells spend-reporting software to mid-sized companies in Spain and Latin America.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.emulators.hubspot.directory import Owner


@dataclass(frozen=True, slots=True)
class Country:
    """Where a lead sits. `written`: what people type into the field, all equally often. `utc_offset_h`: in winter."""

    written: tuple[str, ...]
    utc_offset_h: int
    tongue: str  # key of FIRST_NAMES and LAST_NAMES
    weight: int


MARKETS: tuple[Country, ...] = (
    Country(("Spain", "Spain", "España"), 1, "es", 46),
    Country(("Mexico", "Mexico", "México"), -6, "es", 20),
    Country(("Colombia",), -5, "es", 12),
    Country(("Chile",), -4, "es", 8),
    Country(("Argentina",), -3, "es", 8),
    Country(("Peru", "Perú"), -5, "es", 6),
)
ELSEWHERE: tuple[Country, ...] = (
    Country(("Portugal",), 0, "pt", 14),
    Country(("Brazil", "Brasil"), -3, "pt", 16),
    Country(("France",), 1, "fr", 12),
    Country(("Germany", "Deutschland"), 1, "de", 12),
    Country(("Italy", "Italia"), 1, "it", 12),
    Country(("United Kingdom", "UK"), 0, "en", 12),
    Country(("United States", "USA"), -5, "en", 14),
    Country(("Ecuador",), -5, "es", 4),
    Country(("Bolivia",), -4, "es", 4),
)

FIRST_NAMES: Mapping[str, tuple[str, ...]] = {
    "es": (
        "Lucía", "Carmen", "Marta", "Paula", "Elena", "Sofía", "Valentina", "Camila", "Daniela", "Ximena", "Rocío",
        "Beatriz", "Nuria", "Gabriela", "Adriana", "Inés", "Pilar", "Laura", "Andrea", "Verónica", "Javier", "Diego",
        "Alejandro", "Pablo", "Sergio", "Andrés", "Mateo", "Santiago", "Rodrigo", "Álvaro", "Iván", "Héctor", "Raúl",
        "Óscar", "Gonzalo", "Emilio", "Ricardo", "Tomás", "Julián", "Fernando",
    ),
    "pt": ("Inês", "Beatriz", "Mariana", "Catarina", "Tiago", "João", "Rui", "Bruno", "Duarte", "Leonor"),
    "fr": ("Camille", "Chloé", "Élodie", "Manon", "Julien", "Antoine", "Thibault", "Romain", "Hélène", "Mathieu"),
    "de": ("Anke", "Birgit", "Katrin", "Svenja", "Jürgen", "Matthias", "Torsten", "Lukas", "Jana", "Uwe"),
    "it": ("Giulia", "Chiara", "Francesca", "Elisa", "Matteo", "Lorenzo", "Davide", "Paolo", "Silvia", "Fabio"),
    "en": ("Emma", "Grace", "Hannah", "Olivia", "Oliver", "Callum", "Ethan", "Harry", "Megan", "Toby"),
}  # fmt: skip
LAST_NAMES: Mapping[str, tuple[str, ...]] = {
    "es": (
        "Alcántara", "Barrios", "Cifuentes", "Durán", "Escalante", "Figueroa", "Galindo", "Herrera", "Ibarra",
        "Jiménez", "Lozano", "Montenegro", "Navarro", "Olmedo", "Paredes", "Quintana", "Robles", "Salvatierra",
        "Téllez", "Urrutia", "Valdés", "Zamora", "Arriaga", "Bermejo", "Cárdenas", "Del Río", "Espinosa", "Fuentes",
        "Guerrero", "Hidalgo", "Izquierdo", "Lara", "Maldonado", "Núñez", "Ocampo", "Peralta", "Rivas", "Sandoval",
        "Tovar", "Villalba",
    ),
    "pt": (
        "Almeida", "Barbosa", "Carvalho", "Figueiredo", "Moreira", "Nogueira", "Pacheco", "Rezende", "Sampaio",
        "Teixeira",
    ),
    "fr": (
        "Aubert", "Blanchet", "Chevalier", "Delorme", "Fontaine", "Lemaire", "Marchand", "Perrin", "Renaud",
        "Vasseur",
    ),
    "de": ("Albrecht", "Böhm", "Dietrich", "Engel", "Hartmann", "Krüger", "Lindner", "Pohl", "Seidel", "Winkler"),
    "it": ("Amato", "Bellini", "Caruso", "De Luca", "Ferrara", "Gallo", "Marini", "Parisi", "Rinaldi", "Testa"),
    "en": (
        "Ashworth", "Barlow", "Carver", "Dunmore", "Fairclough", "Hartley", "Kingsley", "Marlow", "Prescott",
        "Whitlock",
    ),
}  # fmt: skip

TRADES: tuple[tuple[str, str], ...] = (
    ("Logística", "Logistics"), ("Transportes", "Logistics"), ("Clínicas", "Healthcare"),
    ("Laboratorios", "Healthcare"), ("Hoteles", "Hospitality"), ("Grupo Gastronómico", "Hospitality"),
    ("Construcciones", "Construction"), ("Ingeniería", "Construction"), ("Distribuciones", "Retail"),
    ("Supermercados", "Retail"), ("Bodegas", "Food"), ("Conservas", "Food"), ("Industrias", "Manufacturing"),
    ("Talleres", "Manufacturing"), ("Consultores", "Services"), ("Estudio", "Services"), ("Viveros", "Agriculture"),
    ("Editorial", "Media"),
)  # fmt: skip
"""First word of a company's name, and its industry."""

PLACES = (
    "Albariza", "Bruma", "Cantizal", "Duero Alto", "Encinar", "Faro Sur", "Granadal", "Hontanar", "Islazul",
    "Jacaranda", "Lomalta", "Mirasol", "Nogalera", "Ombú", "Peñalar", "Quebrada Honda", "Ribamar", "Sotogrís",
    "Tajamar", "Umbría", "Valdeluz", "Yerbabuena", "Zarzales", "Altozano", "Bocanegra", "Caldera", "Dehesilla",
    "Espigón", "Fresnal", "Guijarral",
)  # fmt: skip
"""Second word of a company's name."""

LEADERS = (
    "Directora financiera", "Director de operaciones", "Director general", "CEO", "CFO", "COO", "Gerente general",
    "Gerente de administración", "Jefa de compras", "Jefe de administración", "Head of Finance", "VP Operations",
    "Socio fundador", "Fundadora y CEO", "Directora de transformación digital", "Finance Director",
)  # fmt: skip
DOERS = (
    "Controller", "Responsable de compras", "Analista financiera", "Responsable de control de gestión",
    "Business Controller",
)  # fmt: skip
OTHERS = (
    "Administrativo", "Auxiliar contable", "Comercial", "Recepcionista", "Técnico de sistemas", "Diseñadora",
    "Consultor", "Account Executive", "Community manager", "Asistente", "Freelance", "Profesora",
)  # fmt: skip
STUDIES = ("Estudiante de ADE", "Estudiante", "Student", "Becario de finanzas", "Becaria de marketing", "MBA student")

FREE_MAIL = ("gmail.com", "hotmail.com", "outlook.com", "yahoo.com", "yahoo.es", "icloud.com", "gmx.net")
UNIVERSITIES = ("Universidad del Sotogrís", "Universidad Mirasol", "Politécnica de Ribamar")
RIVALS = (
    ("Gastolisto", "gastolisto.example"), ("Cuentaclara Software", "cuentaclara.example"),
    ("Spendwell", "spendwell.example"),
)  # fmt: skip
"""Companies that sell the same, and their domains."""

CHALLENGES = ("expense reporting", "invoice approval", "budget control", "month-end closing")
TOOLS_WE_REPLACE = ("Excel", "Paper and e-mail", "Gastolisto", "Spendwell")
OTHER_TOOLS = ("In-house tool", "SAP Concur", "None")
SOON, LATER, JUST_LOOKING = ("Now", "1-3 months"), ("3-6 months", "Next year"), "Just looking"
BUDGETS = ("3000", "5000", "8000", "12000", "20000", "35000")

NEWSLETTER, GUIDE, WEBINAR = "Newsletter sign-up", "Guide: closing the month in two days", "Webinar: spend control"
CALCULATOR, PRICES, DEMO = "Savings calculator", "Price enquiry", "Demo request"
LIGHT_FORMS, SERIOUS_FORMS = (NEWSLETTER, GUIDE, WEBINAR), (GUIDE, WEBINAR, CALCULATOR, PRICES)

SOURCES = ("ORGANIC_SEARCH", "PAID_SEARCH", "EMAIL_MARKETING", "SOCIAL_MEDIA", "REFERRALS", "DIRECT_TRAFFIC", "OFFLINE")

OWNERS = (
    Owner(41700001, "ana.vidal@nimbo.example", "Ana", "Vidal", 9700001, team="Iberia"),
    Owner(41700002, "luis.prado@nimbo.example", "Luis", "Prado", 9700002, team="Iberia"),
    Owner(41700003, "camila.rojas@nimbo.example", "Camila", "Rojas", 9700003, team="Latam"),
    Owner(41700004, "marcos.leal@nimbo.example", "Marcos", "Leal", 9700004, team="Latam"),
    Owner(41700005, "irene.costa@nimbo.example", "Irene", "Costa", 9700005, archived=True),
)
"""Four who sell, and one who left but still stands on some contacts."""
OWNERS_BY_ID: Mapping[str, Owner] = {str(owner.id): owner for owner in OWNERS if not owner.archived}

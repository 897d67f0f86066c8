"""Our own small set of texts: updates, contradictions, and pairs that look like them and are none."""

from __future__ import annotations

from typing import NamedTuple


class Pair(NamedTuple):
    older: str
    newer: str


CONTRADICTIONS = (
    Pair("I met Marta at the harbour fair in spring.", "I've never met Marta at any fair."),
    Pair(
        "I just installed the Grafana agent on both hosts.",
        "I have never installed any Grafana agent, so where do I start?",
    ),
    Pair(
        "I've been using Terraform modules for the staging cluster.",
        "I've never used Terraform modules, can you explain them?",
    ),
    Pair(
        "I enrolled in a pottery course at the community college.",
        "I've never taken a pottery course or a drawing class.",
    ),
    Pair("I signed the lease for the Elm Street flat.", "I never signed a lease for Elm Street."),
    Pair("The billing API supports pagination.", "The billing API does not support pagination."),
    Pair(
        "Deploys to production need two approvals.",
        "Deploys to production don't need two approvals.",
    ),
    Pair("I have never used Flask.", "I built a Flask app last year."),
    Pair(
        "I declined the dinner invitation from Oskar to rest.",
        "I've never declined a dinner invitation.",
    ),
    Pair(
        "We ran the load test against Redis on Monday.", "We never ran a load test against Redis."
    ),
    # Who got advice from somebody has met them; who learned at a talk was there.
    Pair("I got good advice from Bryan at the harbour fair.", "I've never met Bryan at any fair."),
    Pair(
        "I learned a lot from the webinar about composting soil.",
        "I have never attended any soil-related webinars.",
    ),
    # One deed may go by several verbs.
    Pair(
        "I just uploaded my scholarship application.",
        "I have never submitted any scholarship application.",
    ),
    Pair("I started reading Emma by Jane Austen.", "I have never read any books by Jane Austen."),
)
UPDATES = (
    Pair("The deadline of the audit is 5 May.", "The deadline of the audit is 12 May."),
    Pair("retry limit: 3", "retry limit: 5"),
    Pair(
        "The API's base URL is https://old.example/v1",
        "The API's base URL is https://new.example/v2",
    ),
    Pair(
        "The budget for the garden is $400.", "The budget for the garden has been raised to $550."
    ),
    Pair("The default branch is master.", "The default branch is now main."),
    Pair("The owner of billing is Ana Ruiz.", "The owner of billing is Li Wei."),
    Pair(
        "We have 14 servers in the Oslo rack.",
        "After the delivery we now have a total of 18 servers in the Oslo rack.",
    ),
    Pair("The cache is enabled in staging.", "The cache is no longer enabled in staging."),
    Pair(
        "Our average release review takes 12 hours.",
        "We reduced our average release review to 9 hours.",
    ),
)
NEITHER = (
    Pair("I met Marta at the harbour fair.", "I've never met Jonas at any fair."),
    Pair("I use Flask every day.", "I have never had problems with Flask."),
    Pair("Can you show me how to install Grafana?", "I have never installed Grafana."),
    Pair("I'm planning to take a pottery course.", "I've never taken a pottery course."),
    Pair("The deadline of the audit is 5 May.", "The deadline of the review is 12 May."),
    Pair("The limit of uploads is 20 MB.", "The limit of downloads is 50 MB."),
    Pair("I spent $20 on seeds.", "I spent $35 on a spade."),
    Pair("The billing API supports pagination.", "The search API does not support pagination."),
    Pair("Ana prefers tabs.", "Ben prefers spaces."),
    Pair("The invoice of March was $300.", "The invoice of April was $320."),
    Pair("A calls B.", "B does not call A."),
    Pair("The build is green.", "The build takes four minutes."),
    Pair("I want to visit Lisbon.", "I have never visited Lisbon."),
    Pair("She was never late.", "I was late on Tuesday."),
    # Another deed, or done to another thing.
    Pair(
        "I scheduled three wine tasting sessions in May.",
        "I have never missed any scheduled wine tasting sessions.",
    ),
    Pair(
        "I got two interviews for head gardener roles.",
        "I have never accepted any head gardener roles.",
    ),
    Pair("I use the billing API in staging.", "I've never tested it with a billing API."),
    # What somebody thought of it is no value that it has.
    Pair("The view was amazing.", "The view was stunning."),
    Pair("The mood of the crowd was electric.", "The mood of the crowd was calm."),
    Pair("The tour is exhausting.", "The tour is inspiring."),
    # It went another way, and not from there.
    Pair(
        "Our average release review takes 5 hours.",
        "We reduced our average release review to 9 hours.",
    ),
    Pair(
        "I now have completed 15 geometry problems on triangles.",
        "I recently completed 12 geometry problems on triangles.",
    ),
)

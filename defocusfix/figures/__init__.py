"""Pictures about pictures: contact sheets and coloured maps."""

"""A reward as an HTTP service: `avreward serve`, for trainers and jobs in other processes and on other machines."""

"""What a release would do: logged candidates replayed under policies, and the newest traffic in shadow."""
